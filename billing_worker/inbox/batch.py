"""Apply one claimed batch inside one transaction: read, fold, react, write, finish."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from billing_worker.effects.drafts import EffectOfEvent, insert_effects, insert_marks
from billing_worker.inbox.claim import ClaimedEvent
from billing_worker.inbox.envelope import ReadEvent, read_event
from billing_worker.inbox.facts import FACT_ONLY, Fact, check_fact, read_facts
from billing_worker.inbox.finish import (
    MAX_ATTEMPTS,
    Ending,
    finish_events,
    park_for_backoff,
    park_for_fetch,
    read_parked,
    unpark,
)
from billing_worker.inbox.fold import Fold, fold_events
from billing_worker.inbox.queue import hold_objects
from billing_worker.inbox.states import EventStatus
from billing_worker.kernel.events import DirtyDraft, Reactions, Snapshot
from billing_worker.mirror.apply import MirrorRow, apply_rows
from billing_worker.mirror.extract import ShapeError

ARRIVAL_ORDER = "arrival_order"
"""The reason left on a parked object when Stripe does not know it any more: its tie is settled by arrival."""

_log = structlog.get_logger(__name__)


@dataclass
class BatchReport:
    """What became of a batch, by event."""

    applied: int = 0
    superseded: int = 0
    ignored: int = 0
    quarantined: int = 0
    failed: int = 0
    waiting: int = 0
    effects: int = 0


@dataclass
class _Work:
    """The batch as it takes shape; `broken` maps an object key to the event and error that stopped it."""

    endings: list[Ending] = field(default_factory=list)
    readable: list[ReadEvent] = field(default_factory=list)
    bare: list[ClaimedEvent] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    effects: dict[str, list[EffectOfEvent]] = field(default_factory=lambda: defaultdict(list))
    marks: dict[str, set[tuple[str, DirtyDraft]]] = field(default_factory=lambda: defaultdict(set))
    broken: dict[str, tuple[ClaimedEvent, str]] = field(default_factory=dict)


def apply_batch(
    session: Session, events: Sequence[ClaimedEvent], reactions: Reactions, *, now: datetime
) -> BatchReport:
    """Apply the claimed events of one or several lanes: state, effect rows and the events' status commit together.

    Order: objects by key, effects by key; only the objects' own rows and insert-only rows are written.
    Idempotent by: the event's status, the row's version, the effect's key.
    """
    started = time.perf_counter()
    work = _Work()
    parked = read_parked(session, sorted({event.object_key for event in events}))
    _read(events, work)
    by_arrival = frozenset(key for key, (_, reason) in parked.items() if reason == ARRIVAL_ORDER)
    fold = fold_events(session, work.readable, by_arrival=by_arrival)
    _react(fold, work, reactions)
    _react_to_facts(session, fold, work, reactions, by_arrival)
    _end(fold, work)
    _write_state(session, fold, work, now)
    report = _report(work)
    report.effects = _write_drafts(session, fold, work, now)
    _park(session, fold, work, {event.object_key: event.lane for event in events}, now)
    unpark(session, [key for key in parked if key not in work.broken and key not in fold.ambiguous])
    finish_events(session, work.endings, now, applied_ms=round((time.perf_counter() - started) * 1000))
    report.waiting = len(events) - len(work.endings)
    return report


def _read(events: Sequence[ClaimedEvent], work: _Work) -> None:
    for event in events:
        try:
            if event.object_type in FACT_ONLY:
                check_fact(event)
                work.bare.append(event)
                continue
            read = read_event(event)
        except ShapeError as error:
            work.endings.append(Ending(event, EventStatus.QUARANTINED, reason=error.reason, detail=error.detail))
            continue
        if read is None:
            work.endings.append(Ending(event, EventStatus.IGNORED, reason="unknown_type"))
        else:
            work.readable.append(read)


def _react(fold: Fold, work: _Work, reactions: Reactions) -> None:
    for read in work.readable:
        event = read.claimed
        if event.object_key in fold.ambiguous or not read.happened:
            continue
        try:
            drafts = reactions.on_fact(read.view())
        except Exception as error:  # noqa: BLE001 - dispatch: one object's failure must not take its lane along
            _break(work, event, error)
        else:
            work.effects[event.object_key] += [EffectOfEvent(event.account_id, event.row_id, draft) for draft in drafts]
    for object_type, rows in fold.rows.items():
        for read, row in rows:
            snapshot = _snapshot(object_type, read, row)
            try:
                marks = reactions.on_level(snapshot)
            except Exception as error:  # noqa: BLE001 - dispatch, as above
                _break(work, read.claimed, error)
            else:
                work.marks[read.claimed.object_key].update((row.account_id, mark) for mark in marks)


def _react_to_facts(session: Session, fold: Fold, work: _Work, reactions: Reactions, given_up: frozenset[str]) -> None:
    for fact in read_facts(session, work.bare, given_up=given_up):
        event = fact.claimed
        if fact.view is None and not fact.is_content:
            fold.ambiguous[event.object_key] = event.created
            continue
        work.facts.append(fact)
        try:
            drafts = [] if fact.view is None else reactions.on_fact(fact.view)
        except Exception as error:  # noqa: BLE001 - dispatch, as above
            _break(work, event, error)
        else:
            work.effects[event.object_key] += [EffectOfEvent(event.account_id, event.row_id, draft) for draft in drafts]


def _break(work: _Work, event: ClaimedEvent, error: Exception) -> None:
    _log.error("event_failed", event_id=event.event_id, type=event.type, attempts=event.attempts + 1, exc_info=error)
    work.broken.setdefault(event.object_key, (event, f"{type(error).__name__}: {error}"))


def _snapshot(object_type: str, read: ReadEvent, row: MirrorRow) -> Snapshot:
    return Snapshot(
        account_id=row.account_id,
        object_type=object_type,
        object_id=row.object_id,
        customer_id=read.claimed.customer_id,
        version=row.version,
        data=row.data,
        deleted=row.deleted_at is not None,
    )


def _end(fold: Fold, work: _Work) -> None:
    notes = {fact.claimed.row_id: (fact.reason, fact.detail) for fact in work.facts}
    for event in [*(read.claimed for read in work.readable), *(fact.claimed for fact in work.facts)]:
        broken = work.broken.get(event.object_key)
        if event.object_key in fold.ambiguous:
            continue
        if broken is not None:
            culprit, detail = broken
            if culprit.row_id == event.row_id and event.attempts + 1 >= MAX_ATTEMPTS:
                _log.error("event_dead", event_id=event.event_id, type=event.type, lane=event.lane, detail=detail)
                work.endings.append(Ending(event, EventStatus.FAILED, reason="attempts_exhausted", detail=detail))
            continue
        reason, detail = notes.get(event.row_id, ("", ""))
        work.endings.append(
            Ending(
                event,
                EventStatus.APPLIED,
                reason=reason,
                detail=detail,
                superseded=event.row_id in fold.superseded,
                order_unproven=event.row_id in fold.unproven,
            )
        )


def _write_state(session: Session, fold: Fold, work: _Work, now: datetime) -> None:
    for object_type in sorted(fold.rows):
        rows = [row for read, row in fold.rows[object_type] if read.claimed.object_key not in work.broken]
        if rows:
            apply_rows(session, object_type, rows, now)


def _write_drafts(session: Session, fold: Fold, work: _Work, now: datetime) -> int:
    stopped = work.broken.keys() | fold.ambiguous.keys()
    effects = [effect for key, drafts in work.effects.items() if key not in stopped for effect in drafts]
    marks = {mark for key, found in work.marks.items() if key not in stopped for mark in found}
    insert_marks(session, marks, now)
    return insert_effects(session, effects, now)


def _park(session: Session, fold: Fold, work: _Work, lanes: Mapping[str, int], now: datetime) -> None:
    for key in sorted(fold.ambiguous):
        park_for_fetch(session, key, lanes[key], now, second=fold.ambiguous[key])
    dead = {ending.event.row_id for ending in work.endings if ending.status is EventStatus.FAILED}
    for key in sorted(work.broken):
        event, detail = work.broken[key]
        if event.row_id in dead:
            unpark(session, [key])
        else:
            park_for_backoff(session, event, now, attempts=event.attempts + 1, detail=detail)
    # Their events were claimed and not applied: they come back when the object is no longer parked.
    held: dict[int, set[str]] = defaultdict(set)
    for key in work.broken.keys() | fold.ambiguous.keys():
        held[lanes[key]].add(key)
    for lane in sorted(held):
        hold_objects(session, lane, held[lane])


def _report(work: _Work) -> BatchReport:
    counts: Mapping[EventStatus, int] = {
        status: sum(1 for ending in work.endings if ending.status is status) for status in EventStatus
    }
    return BatchReport(
        applied=counts[EventStatus.APPLIED],
        superseded=sum(1 for ending in work.endings if ending.superseded),
        ignored=counts[EventStatus.IGNORED],
        quarantined=counts[EventStatus.QUARANTINED],
        failed=counts[EventStatus.FAILED],
    )
