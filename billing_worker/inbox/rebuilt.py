"""What a rebuild found: an object as the log, the mirror and Stripe have it, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from billing_worker.inbox.history import SettledSecond, State
from billing_worker.inbox.objects import MirroredObject
from billing_worker.inbox.services.describe_order import PRUNED
from billing_worker.inbox.states import HAPPENED, EventStatus
from billing_worker.kernel.keys import split_object_key
from billing_worker.mirror.compare import compare_snapshots
from billing_worker.mirror.registry import ObjectType

ENDED = frozenset({EventStatus.IGNORED, EventStatus.DISCARDED, EventStatus.DUPLICATE})
"""Rows that take no part in the state, and are no news."""


@dataclass
class Log:
    """What folding the stored events came to.

    Shape: `left_out` are event ids that stopped, with their status; `pruned` counts applied rows without a body, of
    which those before `baseline_at` are not needed.
    """

    state: State | None = None
    folded: int = 0
    waiting: int = 0
    pruned: int = 0
    lost: int = 0
    baseline_at: datetime | None = None
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, second: SettledSecond) -> None:
        """Count one more second."""
        self.state = second.state
        for row in (placed.row for placed in second.rows):
            if row.counts:
                self.folded += 1
            elif row.status is EventStatus.PENDING:
                self.waiting += 1
            elif row.status is EventStatus.APPLIED and row.fault == PRUNED:
                self.pruned += 1
                self.lost += self.baseline_at is None or (row.created >= self.baseline_at and row.source in HAPPENED)
            elif row.status not in ENDED:
                self.left_out[row.event_id] = row.status.value


@dataclass(frozen=True, slots=True)
class AtStripe:
    """An object as Stripe answers now; `unknown` says why there is no answer."""

    data: Mapping[str, Any] | None = None
    deleted: bool = False
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field on which the three do not agree; the mirror's own columns are named `column.…`."""

    field: str
    log: object
    mirror: object
    stripe: object


UNKNOWN = "?"
COLUMN = "column."
ABSENT = "absent"
DELETED = "deleted"
PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The three-way difference of one object.

    Shape: `differences` is empty when all agree; a Stripe that could not be asked takes no part.
    """

    object_key: str
    log: Log
    mirror: MirroredObject | None
    stripe: AtStripe
    mirror_differs: bool
    stripe_differs: bool
    differences: tuple[FieldDifference, ...]

    def as_facts(self) -> dict[str, object]:
        """Return everything but the bodies."""
        state = self.log.state
        return {
            "object_key": self.object_key,
            "events_folded": self.log.folded,
            "baseline_at": self.log.baseline_at,
            "pruned": self.log.pruned,
            "lost_bodies": self.log.lost,
            "waiting": self.log.waiting,
            "left_out": self.log.left_out,
            "log": None if state is None else {"version": state.version, "event_id": state.row.event_id},
            "order_proven": state is None or state.proven,
            "mirror": None
            if self.mirror is None
            else {"version": self.mirror.version, "event_id": self.mirror.event_id},
            "stripe": f"unknown: {self.stripe.unknown}" if self.stripe.unknown else "answers",
            "mirror_differs": self.mirror_differs,
            "stripe_differs": self.stripe_differs,
            "differences": [asdict(one) for one in self.differences],
        }

    @property
    def mend(self) -> str:
        """Name the commands that bring what the log lacks."""
        kind = split_object_key(self.object_key)[1]
        return f"`nself billing webhook certify --since 30d`, then `nself billing reconcile --type {kind}`"

    def as_lines(self) -> dict[str, object]:
        """Return what people read above the differences."""
        log, mirror = self.log, self.mirror
        built = "nothing" if log.state is None else _describe(log.state.version, log.state.row.event_id)
        facts = {
            "object": self.object_key,
            "log": f"{log.folded} events folded, {built}",
            "mirror": "nothing" if mirror is None else _describe(mirror.version, mirror.event_id),
            "stripe": f"unknown: {self.stripe.unknown}" if self.stripe.unknown else "answers",
        }
        if log.baseline_at is not None:
            facts["baseline"] = f"bodies before {_to_second(log.baseline_at)} are pruned, {log.pruned} events"
        remarks = {
            "not_applied_yet": log.waiting,
            "bodies_missing": log.lost,
            "left_out": ", ".join(f"{event_id} ({status})" for event_id, status in log.left_out.items()),
            "order": "" if log.state is None or log.state.proven else "not proven: as the events arrived",
        }
        return facts | {name: value for name, value in remarks.items() if value}


def _describe(version: datetime, event_id: str) -> str:
    return f"state of {_to_second(version)} by {event_id}"


def _to_second(moment: datetime) -> str:
    return moment.isoformat(" ", "seconds")


def compare_three(kind: ObjectType, object_key: str, log: Log, mirror: MirroredObject | None, at: AtStripe) -> Rebuilt:
    """Compare what the log comes to with the mirror, field by field, and with Stripe where it answered."""
    state = log.state
    with_mirror = _existence(_of_log(state), _of_mirror(mirror))
    if not with_mirror and state is not None and mirror is not None:
        with_mirror = {
            **compare_snapshots(kind.name, state.snapshot, mirror.data, everything=True),
            **_compare_columns(kind, state, mirror),
        }
    with_stripe: dict[str, tuple[object, object]] = {}
    if not at.unknown:
        with_stripe = _existence(_of_log(state), _of_stripe(at))
        if not with_stripe and state is not None and at.data is not None and not at.deleted:
            with_stripe = compare_snapshots(kind.name, state.snapshot, at.data)
    return Rebuilt(
        object_key,
        log,
        mirror,
        at,
        mirror_differs=bool(with_mirror),
        stripe_differs=bool(with_stripe),
        differences=_merge(with_mirror, with_stripe, stripe_known=not at.unknown),
    )


def _of_log(state: State | None) -> str:
    return ABSENT if state is None else DELETED if state.deleted else PRESENT


def _of_mirror(mirror: MirroredObject | None) -> str:
    return ABSENT if mirror is None else DELETED if mirror.deleted else PRESENT


def _of_stripe(at: AtStripe) -> str:
    return ABSENT if at.data is None else DELETED if at.deleted else PRESENT


def _existence(here: str, there: str) -> dict[str, tuple[object, object]]:
    # What is deleted may be a stub at Stripe, or not be there at all.
    agree = here == there or {here, there} == {DELETED, ABSENT}
    return {} if agree else {"object": (here, there)}


def _compare_columns(kind: ObjectType, state: State, mirror: MirroredObject) -> dict[str, tuple[object, object]]:
    here = {"column": {**kind.promote(state.snapshot), "version": state.version}}
    there = {"column": {**mirror.promoted, "version": mirror.version}}
    return compare_snapshots(kind.name, here, there, everything=True)


def _merge(
    with_mirror: Mapping[str, tuple[object, object]],
    with_stripe: Mapping[str, tuple[object, object]],
    *,
    stripe_known: bool,
) -> tuple[FieldDifference, ...]:
    merged = []
    for name in [*with_mirror, *(name for name in with_stripe if name not in with_mirror)]:
        log = (with_mirror.get(name) or with_stripe[name])[0]
        unasked = log if stripe_known and not name.startswith(COLUMN) else UNKNOWN
        stripe = with_stripe[name][1] if name in with_stripe else unasked
        mirror = with_mirror[name][1] if name in with_mirror else log
        merged.append(FieldDifference(name, log, mirror, stripe))
    return tuple(merged)
