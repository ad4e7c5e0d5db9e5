"""Read what waits for workers: events by lane, messages by queue, parked objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.findings import describe_age
from billing_worker.inbox.queries import list_lane_depths, list_parked
from billing_worker.inbox.reports import Backlog, count_backlog, list_unfinished_lanes
from billing_worker.kernel.errors import RetryableError
from billing_worker.kernel.keys import queue_of_lane
from billing_worker.worker.broker import count_messages
from billing_worker.worker.queues import FIXED_QUEUES, webhook_queues

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits.

    Shape: `queues` is empty and `broker` says why when the broker cannot be asked.
    """

    backlog: Backlog
    lanes: list[Row]
    unfinished: list[Row]
    parked: list[Row]
    queues: list[Row]
    broker: str

    def as_facts(self) -> dict[str, object]:
        """Return everything as one object."""
        return asdict(self)

    def as_tables(self) -> list[tuple[str, list[Row]]]:
        """Return what people read, table by table."""
        return [
            (f"events: {self.backlog.pending} pending, {self.backlog.failed} failed", self.lanes),
            ("batches under way", self.unfinished),
            (f"parked objects: {self.backlog.parked}", self.parked),
            (f"broker: {self.broker}", self.queues),
        ]


def read_waiting(unit_of_work: UnitOfWork, *, broker_url: str, webhook_queue_count: int, limit: int) -> Waiting:
    """Read lanes, parked objects and queues; a broker that is away is told, not raised.

    Phases: one transaction; then the broker.
    """
    now = unit_of_work.now()
    with unit_of_work.transaction() as session:
        backlog = count_backlog(session)
        lanes = list_lane_depths(session)[:limit]
        unfinished = list_unfinished_lanes(session)[:limit]
        parked = list_parked(session, limit=limit)
    lane_rows: list[Row] = [
        {
            "lane": each.lane,
            "queue": queue_of_lane(each.lane, webhook_queue_count),
            "pending": each.pending,
            "oldest": describe_age(now - each.oldest_received_at),
        }
        for each in lanes
    ]
    parked_rows: list[Row] = [
        {
            "object_key": each.object_key,
            "waits_for": each.waits_for,
            "until": each.parked_until,
            "attempts": each.attempts,
            "reason": each.reason,
            "detail": each.detail,
        }
        for each in parked
    ]
    queues, broker = _read_queues(broker_url, [*webhook_queues(webhook_queue_count), *FIXED_QUEUES])
    return Waiting(backlog, lane_rows, [asdict(each) for each in unfinished], parked_rows, queues, broker)


def _read_queues(broker_url: str, names: list[str]) -> tuple[list[Row], str]:
    if not broker_url:
        return [], "unknown: REDIS_URL is not set"
    try:
        counts: dict[str, Any] = count_messages(broker_url, names)
    except RetryableError as error:
        return [], f"unknown: {error}"
    return [{"queue": queue, "messages": messages} for queue, messages in counts.items()], "answers"
