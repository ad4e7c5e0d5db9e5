"""What a replay would do beyond the mirror: the effects its events call for, and which of them exist already."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from billing_worker.effects.services.repeat_effects import repeat_effects
from billing_worker.inbox.envelope import read_body
from billing_worker.inbox.services.replay_events import Replayed
from billing_worker.inbox.states import HAPPENED
from billing_worker.kernel.events import EffectDraft, EventView, Reactions
from billing_worker.mirror.extract import ShapeError
from billing_worker.mirror.registry import REGISTRY


class Fate(StrEnum):
    """What becomes of an effect that a replayed event calls for."""

    FIRST = "happens for the first time"
    LATE = "is recorded as skipped: its time is over"
    KEPT = "is not repeated"
    AGAIN = "happens again, under a key of its own"


@dataclass(frozen=True, slots=True)
class ReplayedEffect:
    """One effect of one event; `status` is that of the row it has already, '' without one."""

    event_id: str
    account_id: str
    key: str
    kind: str
    status: str
    fate: Fate


_BODIES = text(
    """
    SELECT e.id AS row_id, e.account_id, e.event_id, e.type, e.object_type, e.object_id, e.object_key, e.customer_id,
           e.created, p.body
    FROM billing.billing_webhook_events e
    JOIN billing.billing_webhook_payloads p ON p.event_row_id = e.id AND p.received_at = e.received_at
    WHERE e.id = ANY(:ids) AND e.source = ANY(:happened) ORDER BY e.id
    """
)

_KNOWN = text(
    "SELECT account_id, effect_key, status FROM billing.billing_effects "
    "WHERE (account_id, effect_key) IN (SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:keys AS text[])))"
)


def list_replayed_effects(
    session: Session, events: Sequence[Replayed], reactions: Reactions, *, again: Collection[str], now: datetime
) -> list[ReplayedEffect]:
    """Return what events call for, event by event; `again` are the kinds that may happen once more.

    Shape: an event whose body is pruned or cannot be read calls for nothing.
    """
    wanted = {"ids": [event.row_id for event in events], "happened": sorted(source.value for source in HAPPENED)}
    rows = session.execute(_BODIES, wanted).mappings()
    called = [(event, draft) for event in _views(rows) for draft in reactions.on_fact(event)]
    given = {"accounts": [event.account_id for event, _ in called], "keys": [draft.key for _, draft in called]}
    known = {(account, key): status for account, key, status in session.execute(_KNOWN, given)}
    found = []
    for event, draft in called:
        status = known.get((event.account_id, draft.key), "")
        fate = _fate(draft, status, again, now)
        found.append(ReplayedEffect(event.event_id, event.account_id, draft.key, draft.kind, status, fate))
    return found


def _fate(draft: EffectDraft, status: str, again: Collection[str], now: datetime) -> Fate:
    if not status:
        return Fate.LATE if draft.not_after is not None and draft.not_after < now else Fate.FIRST
    # What still waits its turn happens anyway.
    return Fate.AGAIN if draft.kind in again and status not in {"pending", "running"} else Fate.KEPT


def _views(rows: Iterable[RowMapping]) -> Iterator[EventView]:
    for row in rows:
        kind = REGISTRY.get(row["object_type"])
        if kind is None:
            continue
        try:
            data, previous = read_body(kind, bytes(row["body"]))
            kind.promote(data)
        except ShapeError:
            continue
        facts = {name: value for name, value in row.items() if name not in {"body", "object_type"}}
        yield EventView(**facts, object_type=kind.name, data=data, previous=previous)


def repeat_called_for(
    session: Session, events: Sequence[Replayed], reactions: Reactions, *, again: Collection[str], now: datetime
) -> list[str]:
    """Have the effects of these events that may happen again do so, and return the repetitions' keys."""
    found = list_replayed_effects(session, events, reactions, again=again, now=now)
    wanted = {(one.account_id, one.key) for one in found if one.fate is Fate.AGAIN}
    return repeat_effects(session, sorted(wanted), now=now)
