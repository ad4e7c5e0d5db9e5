"""What `webhook replay` shows before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import say, show_facts, show_rows

if TYPE_CHECKING:
    from billing_worker.inbox import replayed_effects
    from billing_worker.inbox.services import list_fetchable, refetch_events, replay_events
    from billing_worker.inbox.services.refetch_events import Refetched
    from billing_worker.inbox.services.replay_events import ReplaySelection
    from billing_worker.inbox.services.replay_selection import ReplayReport
    from billing_worker.worker.container import Container
else:
    replayed_effects = lazy_module("billing_worker.inbox.replayed_effects")
    list_fetchable, refetch_events, replay_events = (
        lazy_module(f"billing_worker.inbox.services.{name}")
        for name in ("list_fetchable", "refetch_events", "replay_events")
    )

LISTED = 50


def preview(
    container: Container, selection: ReplaySelection, *, again: Collection[str], fetches: bool, as_json: bool
) -> None:
    """Show the events a replay would take up, and the effects it would have."""
    now = container.unit_of_work.now()
    with container.unit_of_work.transaction() as session:
        found = replay_events.list_replayable(session, selection, size=LISTED)
        effects = replayed_effects.list_replayed_effects(session, found, container.reactions, again=again, now=now)
        missing = list_fetchable.list_fetchable(session, selection) if fetches else []
    rows = [
        {
            "event_id": event.event_id,
            "type": event.type,
            "status": event.was,
            "lane": event.lane,
            "hindrance": event.hindrance,
            "effects": [
                {"kind": one.kind, "key": one.key, "status": one.status, "fate": one.fate.value}
                for one in effects
                if (one.event_id, one.account_id) == (event.event_id, event.account_id)
            ],
        }
        for event in found
    ]
    if as_json:
        show_rows(rows, as_json=True)
    else:
        called = Counter((one.event_id, one.account_id) for one in effects)
        shown = [
            {**row, "effects": called[event.event_id, event.account_id]} for row, event in zip(rows, found, strict=True)
        ]
        show_rows(shown, as_json=False, empty="nothing would be replayed")
        for one in effects:
            say(f"{one.event_id}: {one.kind} {one.fate.value} ({one.key})")
    if missing:
        say(f"{len(missing)} would be fetched from Stripe first: {', '.join(event for _, event in missing[:LISTED])}")
    if len(found) == LISTED:
        say(f"the first {LISTED} are shown")


def fetch_missing(container: Container, selection: ReplaySelection) -> Refetched:
    """Fetch from Stripe what cannot be replayed from here, and wake the lanes of what is new."""
    with container.unit_of_work.transaction() as session:
        wanted = list_fetchable.list_fetchable(session, selection)
    livemode = container.settings.livemode
    report = refetch_events.refetch_events(container.unit_of_work, container.stripe, wanted, livemode=livemode)
    for lane in sorted(report.lanes):
        container.waker.wake_lane(lane, woken_by="replay")
    return report


def show_report(report: ReplayReport, fetched: Refetched | None, *, waiting: int, as_json: bool) -> None:
    """Show what was done, and what could not be."""
    facts: dict[str, object] = {"replayed": report.events, "already_pending": waiting, "lanes": report.lanes}
    if report.left_out:
        facts["left_out"] = dict(report.left_out)
        say(f"not replayed: {', '.join(report.left_out_ids)}")
    if replay_events.PRUNED in report.left_out:
        say("--from-stripe fetches pruned bodies of events younger than 30 days")
    if fetched is not None:
        facts |= {"fetched": len(fetched.stored), "restored": len(fetched.restored)}
        facts |= {"gone_at_stripe": fetched.gone, "of_erased_customers": fetched.erased}
    if report.repeated:
        facts["effects_again"] = list(report.repeated)
    show_facts(facts, as_json=as_json)
