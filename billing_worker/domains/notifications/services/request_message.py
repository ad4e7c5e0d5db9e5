"""Tell a customer something because an operator asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import NothingToTellError
from billing_worker.domains.notifications.rules import GENERAL, NEWS_LASTS, general_key, kind_of
from billing_worker.domains.notifications.services.request_general_message import request_general_message
from billing_worker.domains.notifications.states import Template
from billing_worker.effects.drafts import EffectOfEvent, insert_effects
from billing_worker.kernel.events import EffectDraft
from billing_worker.kernel.keys import object_key
from billing_worker.mirror.objects import MirroredObject, get_object, list_objects

ALIASES = {
    "payment_failed": Template.INVOICE_PAYMENT_FAILED,
    "receipt": Template.INVOICE_PAID,
    "trial_ending": Template.SUBSCRIPTION_TRIAL_ENDING,
}
"""What operators call the templates that can be sent on request; the templates' own names do as well."""

AT_MOST = 100


@dataclass(frozen=True, slots=True)
class RequestedMessage:
    """What will be told: the template, the object that it is about, and whether it was asked for today already."""

    template: Template
    about: str
    effect_key: str
    is_new: bool


def request_message(
    session: Session, customer_id: str, name: str, *, now: datetime, is_dry_run: bool = False
) -> RequestedMessage:
    """Store that a customer is to be told, about the newest invoice or subscription that the template fits.

    Idempotent by: template, object and day: who asks twice a day sends one message.
    Raises: NothingToTellError, NotMirroredError.
    """
    general = next((one for one in GENERAL if one.value == name), None)
    if general is not None:
        return _request_general(session, customer_id, general, now, is_dry_run=is_dry_run)
    template = ALIASES.get(name) or next((one for one in ALIASES.values() if one.value == name), None)
    if template is None:
        raise NothingToTellError(
            f"no template {name!r} can be sent on request; one of {', '.join((*ALIASES, *GENERAL))}"
        )
    get_object(session, "customer", customer_id)
    object_type, fits, describe = _SOURCES[template]
    found = list_objects(session, object_type, where={"customer_id": customer_id}, limit=AT_MOST)
    about = next((one for one in sorted(found, key=_created, reverse=True) if fits(one.data)), None)
    if about is None:
        raise NothingToTellError(f"{customer_id} has no {object_type} that {name} could tell of")
    key = f"mail:{template}:{about.id}:requested:{now:%Y-%m-%d}"
    if is_dry_run:
        return RequestedMessage(template, about.id, key, is_new=True)
    draft = EffectDraft(
        key=key,
        kind=kind_of(template),
        object_key=object_key("", object_type, about.id),
        customer_id=customer_id,
        payload=describe(about),
        not_after=now + NEWS_LASTS,
    )
    inserted = insert_effects(session, [EffectOfEvent("", None, draft)], now)
    return RequestedMessage(template, about.id, key, is_new=bool(inserted))


def _request_general(
    session: Session, customer_id: str, template: Template, now: datetime, *, is_dry_run: bool
) -> RequestedMessage:
    get_object(session, "customer", customer_id)
    occasion = f"{now:%Y-%m-%d}"
    key = general_key(template, customer_id, occasion)
    is_new = is_dry_run or bool(request_general_message(session, [customer_id], template, occasion=occasion, now=now))
    return RequestedMessage(template, customer_id, key, is_new=is_new)


def _created(one: MirroredObject) -> int:
    return int(one.data.get("created") or 0)


def _invoice(about: MirroredObject, amount_field: str) -> dict[str, Any]:
    return {
        "invoice": about.id,
        "number": about.data.get("number"),
        "currency": about.data["currency"],
        "amount_minor": int(about.data.get(amount_field) or 0),
        "next_payment_attempt": about.data.get("next_payment_attempt"),
    }


def _trial(about: MirroredObject) -> dict[str, Any]:
    ends = bool(about.data.get("cancel_at_period_end")) or about.data.get("cancel_at") is not None
    return {"subscription": about.id, "trial_end": about.data["trial_end"], "ends_with_trial": ends}


def _is_unpaid(data: Mapping[str, Any]) -> bool:
    return data.get("status") == "open" and int(data.get("attempt_count") or 0) > 0


def _is_paid(data: Mapping[str, Any]) -> bool:
    return data.get("status") == "paid" and int(data.get("amount_paid") or 0) > 0


def _is_trialing(data: Mapping[str, Any]) -> bool:
    return data.get("status") == "trialing" and isinstance(data.get("trial_end"), int)


_SOURCES: Mapping[
    Template, tuple[str, Callable[[Mapping[str, Any]], bool], Callable[[MirroredObject], dict[str, Any]]]
] = {
    Template.INVOICE_PAYMENT_FAILED: ("invoice", _is_unpaid, lambda about: _invoice(about, "amount_remaining")),
    Template.INVOICE_PAID: ("invoice", _is_paid, lambda about: _invoice(about, "amount_paid")),
    Template.SUBSCRIPTION_TRIAL_ENDING: ("subscription", _is_trialing, _trial),
}
