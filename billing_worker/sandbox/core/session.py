"""One unit of change: documents copied on first touch, events as they happen, all or nothing at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing_worker.sandbox.core.documents import API_VERSION, Document, clone, previous_attributes, public
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.store import INDEXES, Store, at_path

UPDATE_EVENTS = {
    "customer": "customer.updated",
    "subscription": "customer.subscription.updated",
    "invoice": "invoice.updated",
    "product": "product.updated",
    "price": "price.updated",
    "payment_method": "payment_method.updated",
    "charge": "charge.updated",
    "refund": "refund.updated",
    "dispute": "charge.dispute.updated",
    "coupon": "coupon.updated",
    "billing.meter": "billing.meter.updated",
    "account": "account.updated",
    "transfer": "transfer.updated",
    "payout": "payout.updated",
    "tax_rate": "tax_rate.updated",
    "tax_id": "customer.tax_id.updated",
    "credit_note": "credit_note.updated",
    "promotion_code": "promotion_code.updated",
    "subscription_schedule": "subscription_schedule.updated",
    "payment_link": "payment_link.updated",
    "billing_portal.configuration": "billing_portal.configuration.updated",
    "card": "customer.source.updated",
}
"""Kinds whose every change is told: a change without its event would be drift that nobody can see."""

TEST_CLOCK = "test_helpers.test_clock"
DESTINATION = "v2.core.event_destination"


@dataclass(frozen=True, slots=True)
class Origin:
    """Which request causes the changes; empty for what the clock causes."""

    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(slots=True)
class Settings:
    """The account's switches, set through `POST /_sandbox/settings`."""

    smart_retries: bool = False
    after_retries: str = "cancel"
    remembers_declining_cards: bool = False
    """Lets cards be attached that Stripe's bank refuses at once, as if they had gone bad only afterwards."""


@dataclass(slots=True)
class Session:
    """The documents and events of one request or one due moment."""

    store: Store
    now: int
    settings: Settings
    origin: Origin = field(default_factory=Origin)
    recorded_at: int = 0
    """The account's time: `now` is the customer's own where a test clock drives it."""
    test_clock: str | None = None
    changed: dict[tuple[str, str], Document] = field(default_factory=dict)
    removed: set[tuple[str, str]] = field(default_factory=set)
    events: list[Document] = field(default_factory=list)
    notices: list[Document] = field(default_factory=list)
    """Thin events to announce to the destinations that want them; the events themselves are documents."""
    _told: dict[tuple[str, str], Document] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorded_at = self.recorded_at or self.now

    def find(self, kind: str, object_id: str | None) -> Document | None:
        """Return a document that may be changed, or None."""
        key = (kind, object_id or "")
        if key in self.changed:
            return self.changed[key]
        committed = self.store.find(*key)
        if committed is None or key in self.removed:
            return None
        working: Document = clone(committed)
        self.changed[key] = working
        self._told[key] = committed
        self._follow(working)
        return working

    def get(self, kind: str, object_id: str | None, *, param: str | None = None) -> Document:
        """Return a document that may be changed.

        Raises: ApiError resource_missing, naming the parameter that referred to it.
        """
        found = self.find(kind, object_id)
        if found is None:
            raise no_such(kind, str(object_id), param=param)
        return found

    def select(self, kind: str, path: str, value: Any) -> list[Document]:  # noqa: ANN401 - any JSON scalar
        """Return the documents of a kind that hold a value at an indexed path, oldest first."""
        if path not in INDEXES[kind]:
            raise LookupError(f"{kind} has no index on {path}")
        ids = dict.fromkeys(self.store.ids_where(kind, path, value))
        ids |= dict.fromkeys(object_id for key, object_id in self.changed if key == kind)
        found = (self.find(kind, object_id) for object_id in ids)
        return [document for document in found if document is not None and at_path(document, path) == value]

    def peek(self, kind: str, path: str, value: Any) -> list[Document]:  # noqa: ANN401 - any JSON scalar
        """Return what `select` returns, for reading only: nothing is copied, so thousands cost little."""
        staged = {object_id: document for (key, object_id), document in self.changed.items() if key == kind}
        ids = dict.fromkeys(self.store.ids_where(kind, path, value)) | dict.fromkeys(staged)
        found = (staged.get(object_id) or self.store.find(kind, object_id) for object_id in ids)
        return [
            document
            for document in found
            if document is not None and (kind, document["id"]) not in self.removed and at_path(document, path) == value
        ]

    def add(self, document: Document, event: str | None = None) -> Document:
        """Add a new document, and tell of it."""
        if "id" not in document:
            document["id"] = new_id(document["object"])
        if self.test_clock is not None and document.get("test_clock", "") is None:
            document["test_clock"] = self.test_clock
        key = (document["object"], document["id"])
        self.changed[key] = document
        self.removed.discard(key)
        if event is not None:
            self.tell(event, document)
        return document

    def remove(self, document: Document) -> None:
        """Take a document away."""
        key = (document["object"], document["id"])
        self.changed.pop(key, None)
        self.removed.add(key)

    def tell(self, event_type: str, document: Document, *, with_previous: bool = False, is_last: bool = False) -> None:
        """Write an event with the document as it is now.

        Order: when the document changed since it was last told, its update event comes first, so that
        `previous_attributes` form a chain; `with_previous` puts the difference into this event instead;
        `is_last` writes no difference at all, as Stripe does for the last event of an object.
        """
        key = (document["object"], document.get("id", ""))
        update = UPDATE_EVENTS.get(document["object"])
        before = self._told.get(key)
        data: Document = {}
        if before is not None and with_previous:
            data["previous_attributes"] = previous_attributes(before, document)
        elif before is not None and update is not None and event_type != update and not is_last:
            self.tell_changes(document)
        snapshot = public(document)
        self._told[key] = snapshot
        self.events.append(self._event(event_type, {"object": snapshot} | data))

    def tell_changes(self, document: Document) -> None:
        """Write the update event of a document, if anything changed since it was last told."""
        key = (document["object"], document["id"])
        update, before = UPDATE_EVENTS.get(document["object"]), self._told.get(key)
        if update is None or before is None or not previous_attributes(before, document):
            return
        self.tell(update, document, with_previous=True)

    def tell_difference(self, event_type: str, before: Document, after: Document) -> None:
        """Write an event about two states of something that is only another view of a document."""
        previous = previous_attributes(before, after)
        if previous:
            self.events.append(self._event(event_type, {"object": public(after), "previous_attributes": previous}))

    def echo(self, event_type: str) -> None:
        """Write the last event once more under the name that older integrations know."""
        self.events.append(self._event(event_type, clone(self.events[-1]["data"])))

    def tell_everything(self) -> None:
        """Write the update events that nobody has written yet; the last act before a commit."""
        for document in list(self.changed.values()):
            self.tell_changes(document)

    def next_number(self, counter: str) -> int:
        """Count up one of the account's counters."""
        document = self.find("_counter", counter) or self.add({"object": "_counter", "id": counter, "value": 0})
        document["value"] += 1
        return int(document["value"])

    def scan(self, kind: str, wanted: Callable[[Document], bool]) -> list[Document]:
        """Return committed documents of a kind for reading, newest first."""
        return [document for document in self.store.newest_first(kind) if wanted(document)]

    def follow(self, clock: Document) -> None:
        """Take a test clock's time for this session."""
        self.test_clock, self.now = clock["id"], clock["frozen_time"]

    def check_clock_is_ready(self) -> None:
        """Refuse changes of a customer whose test clock is on its way.

        Raises: ApiError 400.
        """
        clock = self.store.find(TEST_CLOCK, self.test_clock or "")
        if clock is not None and clock["status"] == "advancing" and self.events:
            raise invalid(
                f"The test clock {clock['id']} is currently advancing: wait until its status is ready.",
                code="test_clock_advancing",
            )

    def _follow(self, document: Document) -> None:
        # Whoever touches a customer with a test clock, or anything of that customer, acts at that clock's time.
        if self.test_clock is not None:
            return
        owner = document.get("customer")
        customer = self.store.find("customer", owner) if isinstance(owner, str) else None
        clock_id = document.get("test_clock") or (customer or {}).get("test_clock")
        clock = self.store.find(TEST_CLOCK, clock_id) if clock_id else None
        if clock is not None:
            self.follow(clock)

    def _event(self, event_type: str, data: Document) -> Document:
        return {
            "id": new_id("event"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.recorded_at,
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {"id": self.origin.request_id, "idempotency_key": self.origin.idempotency_key},
            "type": event_type,
        }
