"""Prove that no event was lost: hold Stripe's own list of events against the inbox, and fetch what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.certificates import (
    Certificate,
    Listing,
    find_certified_until,
    insert_certificate,
    list_erased_customers,
    read_statuses,
    store_missing,
)
from billing_worker.inbox.intake import Delivery, read_delivery
from billing_worker.inbox.states import Source
from billing_worker.kernel.errors import InvalidValueError

SETTLED_AFTER = timedelta(minutes=5)
"""Younger events may still be on their way: the window ends five minutes before Stripe's now."""

OVERLAP = timedelta(hours=1)
"""Each window begins an hour before the last one ended, so that nothing hides at a seam."""

LISTED_FOR = timedelta(days=30)
"""Source: Stripe documentation, “List all events”: events go back 30 days."""

_log = structlog.get_logger(__name__)


def certify_events(
    unit_of_work: UnitOfWork,
    gateway: Listing,
    *,
    livemode: bool,
    since: datetime | None = None,
    account_id: str = "",
    wake: Callable[[int], object],
) -> Certificate:
    """Compare a window of Stripe's events with the inbox, ingest what is missing, and write the certificate.

    Phases: per page the read at Stripe, then one transaction that stores what is missing; at the end the certificate.
    Idempotent by: event ids; a run that dies leaves no certificate, and the next one covers its window.
    Raises: InvalidValueError when the window is empty; the gateway's errors, with nothing certified.
    """
    certificate = _window(unit_of_work, gateway, since, account_id)
    enabled = _enabled_types(gateway)
    after: str | None = None
    while True:
        page = gateway.list_page("events", params=_created(certificate), starting_after=after, account_id=account_id)
        _compare(unit_of_work, page.data, certificate, enabled, livemode=livemode, wake=wake)
        if not page.has_more or not page.data:
            break
        after = str(page.data[-1]["id"])
    with unit_of_work.transaction() as session:
        insert_certificate(session, certificate, now=unit_of_work.now())
    _log.info("webhook_certified", events=certificate.counts.total(), missing=len(certificate.missing))
    return certificate


def _window(unit_of_work: UnitOfWork, gateway: Listing, since: datetime | None, account_id: str) -> Certificate:
    stripe_now = gateway.read("account").observed_at
    end = (stripe_now - SETTLED_AFTER).replace(microsecond=0)
    oldest = stripe_now - LISTED_FOR
    with unit_of_work.transaction() as session:
        certified = find_certified_until(session, account_id)
    start = since or (certified - OVERLAP if certified is not None else oldest)
    start = max(start, oldest).replace(microsecond=0)
    if start >= end:
        raise InvalidValueError(
            f"nothing to certify between {start.isoformat()} and {end.isoformat()}: events younger than five minutes "
            "are not settled yet; write for example --since 24h"
        )
    return Certificate(start, end, account_id)


def _created(certificate: Certificate) -> dict[str, Any]:
    start, end = certificate.window_start.timestamp(), certificate.window_end.timestamp()
    return {"created": {"gte": int(start), "lt": int(end)}}


def _enabled_types(gateway: Listing) -> frozenset[str]:
    """Collect the types that Stripe sends to any enabled endpoint; `*` stands for all."""
    endpoints = gateway.list_page("webhook_endpoints").data
    enabled = [one for one in endpoints if one.get("status") == "enabled"]
    return frozenset(name for one in enabled for name in one.get("enabled_events", ())) or frozenset({"*"})


def _compare(
    unit_of_work: UnitOfWork,
    events: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    enabled: frozenset[str],
    *,
    livemode: bool,
    wake: Callable[[int], object],
) -> None:
    wanted = [event for event in events if "*" in enabled or event["type"] in enabled]
    certificate.counts.update(str(event["type"]) for event in wanted)
    certificate.other.update(str(event["type"]) for event in events if event not in wanted)
    with unit_of_work.transaction() as session:
        known = read_statuses(session, [str(event["id"]) for event in wanted])
        missing = [event for event in wanted if event["id"] not in known]
        certificate.statuses.update(known.values())
        certificate.missing_by_type.update(str(event["type"]) for event in missing)
        certificate.missing += [str(event["id"]) for event in missing]
        lanes = _heal(session, missing, certificate, livemode=livemode, now=unit_of_work.now())
    for lane in sorted(lanes):
        wake(lane)


def _heal(
    session: Session,
    missing: Sequence[Mapping[str, Any]],
    certificate: Certificate,
    *,
    livemode: bool,
    now: datetime,
) -> set[int]:
    # Listed on behalf of a connected account, an event does not name it.
    named = ({"account": certificate.account_id, **event} if certificate.account_id else event for event in missing)
    deliveries: list[Delivery] = [
        read_delivery(json.dumps(event).encode(), livemode=livemode, source=Source.EVENTS_API) for event in named
    ]
    erased = list_erased_customers(session, [one.customer_id for one in deliveries if one.customer_id is not None])
    healing = [one for one in deliveries if one.customer_id not in erased]
    certificate.erased += len(deliveries) - len(healing)
    certificate.healed += len(healing)
    return store_missing(session, healing, now)
