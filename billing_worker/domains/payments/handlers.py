"""Facts about charges, refunds and disputes: each is one row in the ledger of money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.domains.payments.states import TransactionKind
from billing_worker.kernel.events import EffectDraft, EventView

RECORD_TRANSACTION = "payments.record_transaction"

_REFUND_MOVES = frozenset({"succeeded", "pending"})
"""Stripe takes a refund out of the balance when it is created, also while the bank still works on it."""

_REFUND_RETURNS = frozenset({"failed", "canceled"})


def on_charge_succeeded(event: EventView) -> list[EffectDraft]:
    """Record a captured charge; an authorisation alone moves no money (`charge.captured` follows)."""
    charge = event.data
    if not charge.get("captured"):
        return []
    amount_minor = charge.get("amount_captured")
    return [
        _draft(
            event,
            TransactionKind.CHARGE,
            charge,
            amount_minor=charge["amount"] if amount_minor is None else amount_minor,
            occurred_at=charge["created"],
        )
    ]


def on_charge_refunded(event: EventView) -> list[EffectDraft]:
    """Record the refunds that older payloads list inside the charge; newer ones come as refund events."""
    refunds = (event.data.get("refunds") or {}).get("data") or []
    return [draft for refund in refunds for draft in _refund_drafts(event, refund)]


def on_refund(event: EventView) -> list[EffectDraft]:
    """Record a refund, and its return when the bank would not take it."""
    return _refund_drafts(event, event.data)


def on_dispute_funds_withdrawn(event: EventView) -> list[EffectDraft]:
    """Record what a dispute took."""
    return [_draft(event, TransactionKind.DISPUTE, event.data, occurred_at=event.data["created"])]


def on_dispute_funds_reinstated(event: EventView) -> list[EffectDraft]:
    """Record what a won dispute gave back."""
    occurred_at = int(event.created.timestamp())
    return [_draft(event, TransactionKind.DISPUTE_REVERSAL, event.data, occurred_at=occurred_at)]


def _refund_drafts(event: EventView, refund: Mapping[str, Any]) -> list[EffectDraft]:
    status = refund.get("status")
    drafts = []
    if status in _REFUND_MOVES or status in _REFUND_RETURNS:
        # A refund that was told of as failed first has been taken out before: both movements are recorded.
        drafts.append(_draft(event, TransactionKind.REFUND, refund, occurred_at=refund["created"]))
    if status in _REFUND_RETURNS:
        occurred_at = int(event.created.timestamp())
        drafts.append(_draft(event, TransactionKind.REFUND_REVERSAL, refund, occurred_at=occurred_at))
    return drafts


def _draft(
    event: EventView,
    kind: TransactionKind,
    obj: Mapping[str, Any],
    *,
    occurred_at: int,
    amount_minor: int | None = None,
) -> EffectDraft:
    payload = {
        "kind": kind.value,
        "stripe_id": obj["id"],
        "charge_id": obj["id"] if kind is TransactionKind.CHARGE else _id_of(obj.get("charge")),
        "payment_intent_id": _id_of(obj.get("payment_intent")),
        "amount_minor": obj["amount"] if amount_minor is None else amount_minor,
        "currency": obj["currency"],
        "livemode": bool(obj.get("livemode", event.data.get("livemode", False))),
        "occurred_at": occurred_at,
    }
    return EffectDraft(
        key=f"transaction:{kind.value}:{obj['id']}",
        kind=RECORD_TRANSACTION,
        object_key=event.object_key,
        customer_id=event.customer_id,
        payload=payload,
    )


def _id_of(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else None
