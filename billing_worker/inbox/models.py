"""The inbox's rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, FetchedValue, LargeBinary, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from billing_worker.database.base import Base, EnumText
from billing_worker.inbox.states import EventStatus, Source


class WebhookEvent(Base):
    """One stored event or snapshot; its body lies in billing_webhook_payloads.

    Shape: `stopped`, failed or quarantined, is kept by a trigger; its partial index finds them in any history.
    """

    __tablename__ = "billing_webhook_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    event_id: Mapped[str]
    type: Mapped[str]
    api_version: Mapped[str]
    source: Mapped[Source] = mapped_column(EnumText(Source))
    object_type: Mapped[str]
    object_id: Mapped[str]
    object_key: Mapped[str]
    customer_id: Mapped[str | None]
    lane: Mapped[int] = mapped_column(SmallInteger)
    created: Mapped[datetime]
    observed_at: Mapped[datetime | None]
    received_at: Mapped[datetime]
    last_delivery_at: Mapped[datetime]
    deliveries: Mapped[int]
    status: Mapped[EventStatus] = mapped_column(EnumText(EventStatus))
    stopped: Mapped[bool] = mapped_column(server_default=FetchedValue(), server_onupdate=FetchedValue())
    superseded: Mapped[bool]
    order_unproven: Mapped[bool]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    next_attempt_at: Mapped[datetime | None]
    reason: Mapped[str]
    detail: Mapped[str]
    finished_at: Mapped[datetime | None]
    waited_ms: Mapped[int | None]
    applied_ms: Mapped[int | None]


class WebhookPayload(Base):
    """The body of an event as it came, insert-only, partitioned by month."""

    __tablename__ = "billing_webhook_payloads"

    event_row_id: Mapped[int] = mapped_column(primary_key=True)
    received_at: Mapped[datetime] = mapped_column(primary_key=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)


class ParkedObject(Base):
    """An object whose events wait: for a backoff to pass, or for a fetch that settles its order."""

    __tablename__ = "billing_parked_objects"

    object_key: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[int] = mapped_column(SmallInteger)
    waits_for: Mapped[str]
    parked_until: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str]
    detail: Mapped[str]
    parked_at: Mapped[datetime]


class Lane(Base):
    """What is known of one lane: the batch under way and how it fared before."""

    __tablename__ = "billing_lanes"

    lane: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    batch_size: Mapped[int]
    batch_row_ids: Mapped[list[int] | None] = mapped_column(ARRAY(BigInteger))
    batch_started_at: Mapped[datetime | None]
    crashes: Mapped[int] = mapped_column(SmallInteger)
