"""Which object an event is about: the key that orders it, and the customer it concerns (ARCHITECTURE §3, “Lanes”).

All functions are total: whatever the JSON, they answer, with None where nothing identifies the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from billing_worker.kernel.keys import object_key

THIN_EVENT = "v2.core.event"
"""The `object` of Stripe's v2 notifications, which carry a reference instead of a snapshot."""

UPCOMING_INVOICE = "upcoming_invoice"
"""Our object type of `invoice.upcoming`: a fact about a subscription, never a row of the invoice mirror."""

_OF_A_CUSTOMER = frozenset({"cash_balance", "entitlements.active_entitlement_summary"})
"""Types that have no id because each customer has exactly one."""


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """The object of an event.

    Shape: `account_id` is '' for the platform's own account, else the connected account's id.
    """

    account_id: str
    object_type: str
    object_id: str
    customer_id: str | None

    @property
    def object_key(self) -> str:
        """Return the routing key."""
        return object_key(self.account_id, self.object_type, self.object_id)


def account_of(event: Mapping[str, Any]) -> str:
    """Return the connected account an event belongs to, '' for the platform's own."""
    account = _text(event.get("account"))
    if account:
        return account
    # v2: "acct_…", or "org_…/acct_…" for an organisation's endpoint
    context = _text(event.get("context"))
    last = (context or "").rpartition("/")[2]
    return last if last.startswith("acct_") else ""


def key_of(event: Mapping[str, Any]) -> ObjectRef | None:
    """Find the object an event is about."""
    account_id = account_of(event)
    if event.get("object") == THIN_EVENT:
        return _key_of_related(event.get("related_object"), account_id)
    data = event.get("data")
    snapshot = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(snapshot, Mapping):
        return None
    if event.get("type") == "invoice.upcoming":
        return _key_of_upcoming(snapshot, account_id)
    return key_of_object(snapshot, account_id=account_id)


def key_of_object(snapshot: Mapping[str, Any], *, account_id: str = "") -> ObjectRef | None:
    """Find the key of a snapshot, whoever brought it."""
    object_type = _text(snapshot.get("object"))
    if object_type is None:
        return None
    customer_id = customer_of(snapshot)
    own_id = _text(snapshot.get("id"))
    if object_type == "invoice" and own_id is None:
        return _key_of_upcoming(snapshot, account_id)
    if object_type == "capability" and own_id is not None:
        # A capability's id is its name ("card_payments"): many accounts have one of that name.
        owner = _reference(snapshot.get("account")) or account_id
        return ObjectRef(account_id, object_type, f"{owner}:{own_id}", customer_id)
    if object_type in _OF_A_CUSTOMER:
        own_id = customer_id or own_id
    # What has neither id nor customer exists once in its account (balance, tax settings): its name is enough.
    return ObjectRef(account_id, object_type, own_id or customer_id or object_type, customer_id)


def customer_of(snapshot: Mapping[str, Any]) -> str | None:
    """Return the id of the customer a snapshot concerns, from an id or an expanded object."""
    if snapshot.get("object") == "customer":
        return _text(snapshot.get("id"))
    return _reference(snapshot.get("customer"))


def _key_of_upcoming(invoice: Mapping[str, Any], account_id: str) -> ObjectRef | None:
    customer_id = customer_of(invoice)
    subject = _subscription_of(invoice) or customer_id
    return None if subject is None else ObjectRef(account_id, UPCOMING_INVOICE, subject, customer_id)


def _subscription_of(invoice: Mapping[str, Any]) -> str | None:
    parent = invoice.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, Mapping) else None
    current = _reference(details.get("subscription")) if isinstance(details, Mapping) else None
    return current or _reference(invoice.get("subscription"))


def _key_of_related(related: object, account_id: str) -> ObjectRef | None:
    if not isinstance(related, Mapping):
        return None
    object_type, object_id = _text(related.get("type")), _text(related.get("id"))
    if object_type is None or object_id is None:
        return None
    return ObjectRef(account_id, object_type, object_id, object_id if object_type == "customer" else None)


def _reference(value: object) -> str | None:
    return _text(value.get("id")) if isinstance(value, Mapping) else _text(value)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
