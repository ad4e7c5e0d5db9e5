"""Refuse to repeat effects where there is nothing that may be repeated."""

from __future__ import annotations

from collections.abc import Collection

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.replayed_effects import Fate, list_replayed_effects
from billing_worker.inbox.services.replay_events import ReplaySelection, list_replayable
from billing_worker.kernel.errors import RefusedError
from billing_worker.kernel.events import Reactions


class EffectsNotRepeatableError(RefusedError):
    """What the events call for moves money or keeps books: it happens once, whatever is replayed."""


def require_repeatable(
    unit_of_work: UnitOfWork, selection: ReplaySelection, reactions: Reactions, *, again: Collection[str]
) -> None:
    """Look through a selection until an effect is found that may be repeated.

    Phases: one transaction per batch, each only reads.
    Raises: EffectsNotRepeatableError naming the kinds that were found instead.
    """
    others, after, now = set[str](), 0, unit_of_work.now()
    while True:
        with unit_of_work.transaction() as session:
            batch = list_replayable(session, selection, after=after)
            found = list_replayed_effects(session, batch, reactions, again=again, now=now)
        if any(one.fate is not Fate.KEPT and one.kind in again for one in found):
            return
        others |= {one.kind for one in found if one.kind not in again}
        if not batch:
            break
        after = batch[-1].row_id
    if others:
        raise EffectsNotRepeatableError(
            f"nothing here may happen twice: {', '.join(sorted(others))} move money or keep its books, and happen once "
            "per key; without --with-effects the events are replayed safely"
        )
