"""All documents in memory, newest last, with the few indexes that large months need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from billing_worker.sandbox.core.documents import Document

INDEXES: dict[str, tuple[str, ...]] = {
    "customer": ("test_clock",),
    "payment_method": ("customer",),
    "subscription": ("customer",),
    "invoice": ("customer", "parent.subscription_details.subscription"),
    "invoiceitem": ("customer", "invoice"),
    "invoice_payment": ("invoice", "payment.payment_intent"),
    "payment_intent": ("customer",),
    "charge": ("customer", "payment_intent"),
    "refund": ("charge", "payment_intent"),
    "dispute": ("charge", "payment_intent"),
    "price": ("product",),
    "billing.meter_event": ("_meter_customer",),
    "billing.meter": ("event_name",),
    "credit_note": ("invoice",),
    "promotion_code": ("code",),
    "subscription_schedule": ("subscription",),
    "checkout.session": ("payment_intent",),
    "card": ("customer",),
    "tax_id": ("customer",),
}
"""Paths by which documents are found; every other search is a scan."""


def at_path(document: Document, path: str) -> Any:  # noqa: ANN401 - any JSON value
    """Read a dotted path; a missing or null level gives None."""
    value: Any = document
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


class Store:
    """Committed documents by kind and id. Not locked: the world's lock guards it."""

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, Document]] = {}
        self._index: dict[tuple[str, str], dict[Any, dict[str, None]]] = {}
        self._items: dict[str, str] = {}

    def find(self, kind: str, object_id: str) -> Document | None:
        """Return a committed document, not to be changed."""
        return self._kinds.get(kind, {}).get(object_id)

    def knows(self, kind: str, object_id: str) -> bool:
        """Tell whether there is, or was, such an object."""
        return self.find(kind, object_id) is not None or self.find(f"_deleted_{kind}", object_id) is not None

    def put(self, document: Document) -> None:
        """Add or replace a document; its place in the order of creation stays."""
        kind, object_id = document["object"], document["id"]
        collection = self._kinds.setdefault(kind, {})
        for path in INDEXES.get(kind, ()):
            self._reindex(kind, path, collection.get(object_id), document)
        collection[object_id] = document
        if kind == "subscription":
            self._items.update((item["id"], object_id) for item in document["items"]["data"])

    def remove(self, kind: str, object_id: str) -> None:
        """Forget a document."""
        document = self._kinds.get(kind, {}).pop(object_id, None)
        if document is not None:
            for path in INDEXES.get(kind, ()):
                self._reindex(kind, path, document, None)

    def newest_first(self, kind: str) -> Iterator[Document]:
        """Walk a kind from the newest to the oldest; what only another object refers to is not shown."""
        return (entry for entry in reversed(self._kinds.get(kind, {}).values()) if "_is_hidden" not in entry)

    def ids_where(self, kind: str, path: str, value: Any) -> Iterable[str]:  # noqa: ANN401 - any JSON scalar
        """List ids by an indexed path, oldest first."""
        return self._index.get((kind, path), {}).get(value, {})

    def subscription_of_item(self, item_id: str) -> str | None:
        """Tell which subscription holds, or last held, an item."""
        return self._items.get(item_id)

    def all(self) -> Iterator[Document]:
        """Walk everything, kind by kind, oldest first."""
        for collection in self._kinds.values():
            yield from collection.values()

    def _reindex(self, kind: str, path: str, old: Document | None, new: Document | None) -> None:
        before = None if old is None else at_path(old, path)
        after = None if new is None else at_path(new, path)
        if before == after and old is not None and new is not None:
            return
        ids = self._index.setdefault((kind, path), {})
        object_id = (new or old or {})["id"]
        if old is not None:
            ids.get(before, {}).pop(object_id, None)
        if new is not None:
            ids.setdefault(after, {})[object_id] = None
