"""The account's events, kept as compressed bodies: a month of a small shop is a hundred thousand of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from billing_worker.sandbox.core.documents import Document

RETENTION_SECONDS = 30 * 86_400
"""Source: Stripe documentation, “List all events”: events of the last 30 days."""


@dataclass(slots=True)
class StoredEvent:
    """One event and who still waits for it."""

    sequence: int
    event_id: str
    type: str
    created: int
    packed: bytes
    undelivered: set[str]

    def body(self) -> bytes:
        """Give the JSON that deliveries carry."""
        return zlib.decompress(self.packed)

    def as_entry(self) -> Document:
        """Give the form that the journal keeps: the body as text, because rendering it again would cost most."""
        return {
            "id": self.event_id,
            "type": self.type,
            "created": self.created,
            "body": self.body().decode(),
            "to": sorted(self.undelivered),
        }

    def document(self) -> Document:
        """Give the event as a document."""
        document: Document = json.loads(self.body())
        return document


def new_entry(document: Document, endpoint_ids: list[str]) -> Document:
    """Render a new event for its way into journal, log and deliveries."""
    return {
        "id": document.get("id", ""),
        "type": document.get("type", ""),
        "created": document.get("created", 0),
        "body": json.dumps(document, separators=(",", ":")),
        "to": endpoint_ids,
    }


class EventLog:
    """Events in the order in which they happened. Not locked: the world's lock guards it."""

    def __init__(self) -> None:
        self._events: dict[str, StoredEvent] = {}
        self._sequence = 0

    def append(self, entry: Document) -> StoredEvent:
        """Keep an event, given as `as_entry` gives it."""
        self._sequence += 1
        stored = StoredEvent(
            sequence=self._sequence,
            event_id=entry["id"],
            type=entry["type"],
            created=entry["created"],
            packed=zlib.compress(entry["body"].encode(), 1),
            undelivered=set(entry["to"]),
        )
        self._events[stored.event_id] = stored
        return stored

    def find(self, event_id: str) -> StoredEvent | None:
        """Return an event, or None when there is none or it is too old."""
        return self._events.get(event_id)

    def newest_first(self) -> Iterator[StoredEvent]:
        """Walk the events from the newest."""
        return iter(reversed(self._events.values()))

    def all(self) -> Iterator[StoredEvent]:
        """Walk the events from the oldest."""
        return iter(self._events.values())

    def prune(self, now: int) -> list[str]:
        """Forget events that left the retention and that nobody waits for."""
        gone = []
        for event in self._events.values():
            if event.created >= now - RETENTION_SECONDS:
                break
            if not event.undelivered:
                gone.append(event.event_id)
        for event_id in gone:
            del self._events[event_id]
        return gone

    @property
    def total(self) -> int:
        """Count every event that ever was."""
        return self._sequence

    def restore_total(self, total: int) -> None:
        """Continue counting where an earlier process stopped."""
        self._sequence = max(self._sequence, total)
