"""The states of a stored event and where it came from."""

from __future__ import annotations

from enum import StrEnum


class EventStatus(StrEnum):
    """How far a stored event is.

    Shape: pending → applied | ignored | quarantined | failed; failed → pending (replay, redelivery) | discarded.
    """

    PENDING = "pending"
    APPLIED = "applied"
    IGNORED = "ignored"
    QUARANTINED = "quarantined"
    FAILED = "failed"
    DISCARDED = "discarded"
    DUPLICATE = "duplicate"


class Source(StrEnum):
    """Who brought a row into the inbox: Stripe's delivery, or a snapshot taken by us."""

    WEBHOOK = "webhook"
    EVENTS_API = "events_api"
    WRITE_THROUGH = "write_through"
    RECONCILE = "reconcile"
    IMPORT = "import"
    FETCH = "fetch"
    CERTIFY = "certify"


SNAPSHOT_TYPE = "nself.snapshot"
"""The event type of a snapshot that we took ourselves: state without a fact."""

HAPPENED = frozenset({Source.WEBHOOK, Source.EVENTS_API, Source.CERTIFY})
"""Sources whose rows are Stripe's events: they carry facts."""
