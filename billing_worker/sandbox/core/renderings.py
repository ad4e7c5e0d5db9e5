"""Events in the words of an older API version: what moved since, in its old place."""

from __future__ import annotations

import json
from collections.abc import Callable

from billing_worker.sandbox.core.documents import API_VERSION, Document

OLD_VERSION = "2020-08-27"
_MOVED_IN = "2025-03-31"
"""Source: Stripe changelog, 2025-03-31.basil: periods moved to items, invoices and lines got their `parent`."""


def render(body: bytes, version: str | None) -> bytes:
    """Render an event's body in a version; None and today's leave it as it is."""
    if version is None or version == API_VERSION:
        return body
    event = json.loads(body)
    event["api_version"] = version
    if version < _MOVED_IN:
        for document in (event["data"]["object"], event["data"].get("previous_attributes") or {}):
            _put_back(document, event["data"]["object"].get("object", ""))
    return json.dumps(event, separators=(",", ":")).encode()


def _put_back(document: Document, kind: str) -> None:
    put_back = _PUT_BACK.get(kind)
    if put_back is not None:
        put_back(document)


def _subscription(document: Document) -> None:
    items = (document.get("items") or {}).get("data") or []
    for item in items:
        period = {name: item.pop(name) for name in ("current_period_start", "current_period_end") if name in item}
        if item is items[0]:
            document |= period
    if items and "id" in document:
        document |= {"plan": items[0]["plan"], "quantity": items[0].get("quantity")}


def _invoice(document: Document) -> None:
    if "parent" in document:
        document["subscription"] = _subscription_of(document.pop("parent"))
    if "status" in document:
        document["paid"] = document["status"] == "paid"
    for entry in (document.get("lines") or {}).get("data") or []:
        _line(entry)


def _line(entry: Document) -> None:
    parent, pricing = entry.pop("parent", None) or {}, entry.pop("pricing", None) or {}
    details = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    entry |= {
        "type": "subscription" if parent.get("type") == "subscription_item_details" else "invoiceitem",
        "proration": details.get("proration", False),
        "subscription": details.get("subscription"),
        "subscription_item": details.get("subscription_item"),
        "price": (pricing.get("price_details") or {}).get("price"),
    }


def _item(document: Document) -> None:
    if "parent" in document:
        document["subscription"] = _subscription_of(document.pop("parent"))


def _subscription_of(parent: Document | None) -> str | None:
    details = (parent or {}).get("subscription_details") or {}
    found: str | None = details.get("subscription")
    return found


_PUT_BACK: dict[str, Callable[[Document], None]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "invoiceitem": _item,
}
