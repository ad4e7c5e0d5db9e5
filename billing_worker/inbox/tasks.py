"""The inbox's tasks: drain a lane, fetch what is ambiguous, rescue what nobody woke."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from billing_worker.inbox.published_addresses import fetch_published
from billing_worker.inbox.queries import count_parked_for_fetch
from billing_worker.inbox.queue import list_due_lanes
from billing_worker.inbox.services.certify_accounts import certify_accounts
from billing_worker.inbox.services.drain_lanes import Mark, drain_lanes
from billing_worker.inbox.services.fetch_parked import fetch_parked
from billing_worker.inbox.services.prune_payloads import prune_payloads
from billing_worker.inbox.services.refresh_addresses import refresh_addresses
from billing_worker.inbox.services.rescue_lanes import rescue_lanes
from billing_worker.kernel.errors import InvalidValueError, UnavailableError
from billing_worker.kernel.keys import lanes_beside
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import FETCH, MAINTENANCE, RECONCILIATION, WEBHOOK_QUEUE_PREFIX
from billing_worker.worker.tasks import task
from billing_worker.worker.wake import DRAIN_LANE


@task(DRAIN_LANE, queue=WEBHOOK_QUEUE_PREFIX)
def drain(container: Container, *, lane: int, woken_by: str = "") -> Mapping[str, object]:  # noqa: ARG001 - for Flower
    """Apply what is due in a lane and in the others of its queue; `woken_by` names the event that sent the message."""
    waker = container.waker
    report = drain_lanes(
        container.unit_of_work,
        container.reactions,
        lanes=lanes_beside(lane, container.settings.billing_webhook_queues),
        batch_size=container.settings.billing_webhook_batch_size,
        mark=Mark(hold=partial(waker.hold_mark, lane), clear=partial(waker.clear_mark, lane)),
    )
    container.stripe.forget_lanes(report.lanes)
    if report.again:
        waker.wake_lane(lane)
    return {**vars(report), "lanes": len(report.lanes)}


@task("inbox.fetch_parked", queue=FETCH)
def fetch(container: Container) -> Mapping[str, object]:
    """Settle the order of ambiguous objects by asking Stripe."""
    gateway = container.stripe.on_behalf_of(Priority.WEBHOOKS)
    asked = fetch_parked(container.unit_of_work, gateway, wake=container.waker.wake_lane)
    return {"asked": asked}


@task("inbox.rescue_lanes", queue=MAINTENANCE)
def rescue(container: Container) -> Mapping[str, object]:
    """Wake the lanes that have due events and no wake-up under way."""
    with container.unit_of_work.transaction() as session:
        woken = rescue_lanes(session, container.unit_of_work.now(), wake=container.waker.wake_lane)
    return {"woken": woken}


@task("inbox.certify_events", queue=RECONCILIATION, soft_limit_seconds=1700, hard_limit_seconds=1800)
def certify(container: Container, *, due_at: str = "") -> Mapping[str, object]:  # noqa: ARG001 - the slot is the window's
    """Hold Stripe's list of events against the inbox and heal what is missing."""
    try:
        certified = certify_accounts(
            container.unit_of_work,
            container.stripe.on_behalf_of(Priority.RECONCILIATION),
            livemode=container.settings.livemode,
            wake=container.waker.wake_lane,
        )
    except InvalidValueError as error:
        return {"skipped": str(error)}
    return {
        "window_end": certified.certificates[0].window_end.isoformat(),
        "accounts": len(certified.certificates),
        "not_certified": sorted(certified.refused),
        "events": sum(one.counts.total() for one in certified.certificates),
        "missing": sum(len(one.missing) for one in certified.certificates),
        "healed": sum(one.healed for one in certified.certificates),
    }


@task("inbox.prune_payloads", queue=MAINTENANCE, soft_limit_seconds=3400, hard_limit_seconds=3500)
def prune(container: Container) -> Mapping[str, object]:
    """Drop the months of bodies that are past their retention; baselines, rows and ids stay."""
    return vars(prune_payloads(container.unit_of_work, keep=container.settings.billing_payload_retention))


@task("inbox.refresh_addresses", queue=MAINTENANCE)
def refresh_stripe_addresses(container: Container, *, due_at: str = "") -> Mapping[str, object]:  # noqa: ARG001 - a slot
    """Read the addresses Stripe delivers from, where they are filtered; a list that cannot be had changes nothing."""
    if not container.settings.stripe_enable_ip_whitelist:
        return {"skipped": "STRIPE_ENABLE_IP_WHITELIST is off"}
    try:
        change = refresh_addresses(container.unit_of_work, fetch_published)
    except (UnavailableError, InvalidValueError) as error:
        return {"skipped": str(error)}
    return {"outcome": change.outcome, "added": len(change.added), "removed": len(change.removed)}


def _count_due_lanes(session: Session, now: datetime) -> int:
    return len(list_due_lanes(session, now))


PROBES = (
    Probe("due_lanes", "inbox.rescue_lanes", MAINTENANCE, _count_due_lanes),
    Probe("parked_for_fetch", "inbox.fetch_parked", FETCH, count_parked_for_fetch),
)
