"""What a message is called, whom it may go to, and when it is tried again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from billing_worker.domains.notifications.errors import NothingToTellError
from billing_worker.domains.notifications.states import Template

KIND_PREFIX = "mail."
KINDS = tuple(f"{KIND_PREFIX}{template}" for template in Template)
FAMILIES = tuple(dict.fromkeys(template.partition("_")[0] for template in Template))

NEWS_LASTS = timedelta(days=7)
"""What happened longer ago is no news: a replayed or imported history must not be mailed to everybody."""

FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
MAX_ATTEMPTS = 30
"""With waits from a minute to an hour this is about a day; the relay that took a message tries longer by itself."""

CUSTOMER_ATTEMPTS = 6
"""Half an hour for the customer's own event to come, when the news about him came first."""

RESENDS_OF_UNKNOWN = 1

GENERAL = (Template.BILLING_ERROR_APOLOGY, Template.PAYMENT_PROCESSING_DELAYED)
"""Templates that tell of nothing but themselves: they can go to anybody, one by one or to many."""

PDF_ATTEMPTS = 6
PDF_WAIT = timedelta(seconds=10)
"""A minute for `pdf-generator`; then the message goes without the PDF, with the page where it can be seen."""

SENDABLE = frozenset({"open", "paid", "uncollectible"})
"""States of invoices that are mailed."""

RECIPIENT_WINDOW = timedelta(hours=1)
"""Over which MAIL_RECIPIENT_LIMIT counts."""

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
LONGEST_ADDRESS = 254
"""Source: RFC 5321, 4.5.3.1.3: a path of 256 octets, the angle brackets included."""


def kind_of(template: Template) -> str:
    """Name the effect kind that sends a template."""
    return f"{KIND_PREFIX}{template}"


def template_of(kind: str) -> Template:
    """Name the template that an effect kind sends."""
    return Template(kind.removeprefix(KIND_PREFIX))


def split_sender(mail_from: str) -> tuple[str, str]:
    """Split `Example, Inc. <billing@example.com>` into name and address; without a name the domain stands for it."""
    name, _, address = mail_from.rpartition("<")
    address = address.rstrip(">")
    return name.strip().strip('"') or domain_of(address), address


def domain_of(address: str) -> str:
    """Return an address's domain."""
    return address.rpartition("@")[2]


def message_id_of(account_id: str, effect_key: str, domain: str) -> str:
    """Derive the Message-ID from what happened, so that a message sent twice is one to whoever receives it."""
    digest = hashlib.sha256(f"{account_id}/{effect_key}".encode()).hexdigest()[:40]
    return f"<{digest}@{domain}>"


def check_sending(*, is_enabled: bool, sender: str) -> str | None:
    """Say in one sentence why no mail is sent, None if it is."""
    if not is_enabled:
        return "mail is off (MAIL_ENABLED=false)"
    if not sender:
        return "there is no sender (MAIL_FROM is not set)"
    return None


def check_recipient(address: str | None, *, is_deleted: bool) -> str | None:
    """Say in one sentence why a customer cannot be written to, None if he can."""
    if is_deleted:
        return "the customer was deleted"
    if not address:
        return "the customer has no mail address"
    if len(address) > LONGEST_ADDRESS or _ADDRESS.fullmatch(address) is None:
        return "the customer's mail address cannot be written to"
    return None


def address_digest(address: str) -> str:
    """Return what stands for an address where it is not to be kept."""
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()


def check_sendable(invoice: Mapping[str, Any]) -> None:
    """Refuse to mail what is no invoice yet, or none any more.

    Raises: NothingToTellError with the way that is left.
    """
    status = str(invoice.get("status"))
    if status not in SENDABLE:
        way = f": `nself billing invoice finalize {invoice['id']}` first" if status == "draft" else ""
        raise NothingToTellError(f"invoice {invoice['id']} is {status}{way}")


def general_key(template: Template, customer_id: str, occasion: str) -> str:
    """Name the effect that tells a customer of an occasion."""
    return f"mail:{template}:{customer_id}:{occasion}"


def wait_after(attempts: int) -> timedelta:
    """Return the wait after the n-th attempt: a minute, doubling up to an hour."""
    return min(FIRST_WAIT * float(2 ** min(max(attempts - 1, 0), 10)), LONGEST_WAIT)
