"""Mail an invoice to its customer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import NothingToTellError
from billing_worker.domains.notifications.queries import find_addressee
from billing_worker.domains.notifications.rules import (
    NEWS_LASTS,
    address_digest,
    check_recipient,
    check_sendable,
    kind_of,
)
from billing_worker.domains.notifications.services.rearm_message import rearm_message
from billing_worker.domains.notifications.services.request_message import RequestedMessage
from billing_worker.domains.notifications.states import Template
from billing_worker.effects.drafts import EffectOfEvent, insert_effects
from billing_worker.kernel.events import EffectDraft
from billing_worker.kernel.keys import object_key


def send_invoice_mail(
    session: Session, invoice: Mapping[str, Any], *, pdf_id: int | None, now: datetime, is_dry_run: bool = False
) -> RequestedMessage:
    """Store that a customer is to get an invoice, with its PDF.

    Idempotent by: invoice, address and day: who asks twice a day sends one message, and one that never went out (mail
    was off, the server refused) is tried again. Another address is another message.
    Raises: NothingToTellError when the invoice or its customer cannot be mailed.
    """
    check_sendable(invoice)
    customer_id = str(invoice.get("customer"))
    addressee = find_addressee(session, "", customer_id)
    why_not = None if addressee is None else check_recipient(addressee.address, is_deleted=addressee.is_deleted)
    if addressee is None or why_not is not None:
        told = why_not or "the customer is not in the mirror"
        raise NothingToTellError(f"{told}: `nself billing customer update {customer_id} --email user@example.com`")
    digest = address_digest(str(addressee.address))[:12]
    key = f"mail:{Template.INVOICE_ISSUED}:{invoice['id']}:{digest}:{now:%Y-%m-%d}"
    if is_dry_run:
        return RequestedMessage(Template.INVOICE_ISSUED, str(invoice["id"]), key, is_new=True)
    draft = EffectDraft(
        key=key,
        kind=kind_of(Template.INVOICE_ISSUED),
        object_key=object_key("", "invoice", str(invoice["id"])),
        customer_id=customer_id,
        payload=_payload(invoice, pdf_id),
        not_after=now + NEWS_LASTS,
    )
    is_new = bool(insert_effects(session, [EffectOfEvent("", None, draft)], now)) or rearm_message(session, key, now)
    return RequestedMessage(Template.INVOICE_ISSUED, str(invoice["id"]), key, is_new=is_new)


def _payload(invoice: Mapping[str, Any], pdf_id: int | None) -> dict[str, Any]:
    return {
        "invoice": invoice["id"],
        "number": invoice.get("number"),
        "currency": invoice["currency"],
        "amount_minor": int(invoice.get("total") or 0),
        "due_date": invoice.get("due_date"),
        "is_paid": invoice.get("status") == "paid",
        "pdf": pdf_id,
    }
