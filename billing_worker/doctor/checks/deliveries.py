"""Deliveries: does what happens at Stripe arrive, is it proved, and are signatures refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.states import Component
from billing_worker.inbox.certificates import find_certified_until, read_statuses
from billing_worker.inbox.endpoints import ALL_EVENTS, Endpoint, read_endpoints
from billing_worker.inbox.reports import find_last_delivery
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stack.read_logs import read_logs

SETTLED_AFTER = timedelta(minutes=5)
"""Younger events may still be on their way."""

LOOKED_BACK = timedelta(days=1)

CERTIFIED_EVERY = timedelta(hours=3)
"""A certificate is written every hour; after three hours two were missed."""

REFUSALS_LOOKED_BACK = timedelta(hours=1)
FORGED = frozenset({"no_signature", "malformed_header", "timestamp_outside_tolerance", "no_matching_signature"})
RECEIVER_LOG = "receiver.log"
LOG_LINES = 100_000

REACH = (
    "nself billing webhook list-endpoints",
    "nself billing webhook test-signature",
    "nself billing webhook certify --since 24h",
)


def judge_deliveries(subject: Subject) -> Judgement:
    """Hold Stripe's newest events against the inbox: what is settled there must be here."""
    try:
        endpoints = read_endpoints(subject.gateway)
        page = subject.gateway.list_page("events")
    except (RetryableError, TerminalError) as error:
        cause = "Stripe cannot be asked for its events, so nobody knows whether any is missing"
        return degraded(f"unknown: {error}", cause=cause, commands=("nself billing health --component stripe",))
    settled = _settled(page.data, endpoints, page.observed_at)
    with subject.unit_of_work.transaction() as session:
        known = read_statuses(session, [str(event["id"]) for event in settled])
        last = find_last_delivery(session)
    retried = sum(int(event.get("pending_webhooks") or 0) > 0 for event in settled)
    arrived = "never" if last is None else f"{describe_age(subject.unit_of_work.now() - last)} ago"
    evidence = f"{len(known)} of Stripe's newest {len(settled)} events of the day are here, the last came {arrived}"
    if len(known) < len(settled):
        is_blind = not known or not any(one.is_enabled for one in endpoints)
        return (failed if is_blind else degraded)(evidence, cause=_cause(endpoints), commands=REACH)
    if endpoints and not any(one.is_enabled for one in endpoints):
        return failed(f"{evidence}; every endpoint is disabled", cause=_cause(endpoints), commands=REACH)
    if retried:
        cause = "the receiver was away or refused them; Stripe tries again for three days, then disables the endpoint"
        return degraded(f"{evidence}; Stripe still retries {retried} of them", cause=cause, commands=REACH)
    return fine(evidence)


def judge_certificates(subject: Subject) -> Judgement:
    """Look at the age of the proof that nothing was lost."""
    now = subject.unit_of_work.now()
    with subject.unit_of_work.transaction() as session:
        until = find_certified_until(session, "")
        last = find_last_delivery(session)
    if until is None and (last is None or now - last < CERTIFIED_EVERY):
        return fine("no certificate yet")
    evidence = "no certificate" if until is None else f"certified until {describe_age(now - until)} ago"
    if until is None or now - until > CERTIFIED_EVERY + SETTLED_AFTER:
        cause = "the hourly comparison with Stripe's list of events does not run, or Stripe cuts it short"
        return degraded(evidence, cause=cause, commands=("nself billing webhook certify", "nself billing jobs list"))
    return fine(evidence)


def judge_signatures(subject: Subject) -> Judgement:
    """Count refused signatures in the receiver's log on this machine; `now` is wall time, as the log's is."""
    if not (subject.settings.nself_home / "logs" / RECEIVER_LOG).exists():
        return fine("the receiver keeps no log on this machine")
    since = datetime.now(UTC) - REFUSALS_LOOKED_BACK
    lines = read_logs(
        {"NSELF_HOME": str(subject.settings.nself_home)},
        ("receiver",),
        tail=LOG_LINES,
        containing='"webhook_rejected"',
        since=since,
    )
    forged = [line for line in lines if line.fields.get("reason") in FORGED]
    if not forged:
        return fine("no signature was refused in the last hour")
    senders = len({line.fields.get("remote") for line in forged})
    newest = forged[-1].fields["reason"]
    evidence = f"{len(forged)} refused in the last hour, from {senders} addresses, the last: {newest}"
    cause = "the signing secret is another endpoint's or was changed, the clock is off, or a stranger knocks"
    commands = ("nself billing webhook test-signature", "nself billing webhook show-secret", "nself logs receiver")
    return degraded(evidence, cause=cause, commands=commands)


def _settled(
    events: Sequence[Mapping[str, Any]], endpoints: Sequence[Endpoint], stripe_now: datetime
) -> list[Mapping[str, Any]]:
    types = {name for one in endpoints for name in one.enabled_events}
    return [
        event
        for event in events
        if stripe_now - LOOKED_BACK <= from_unix(event["created"]) <= stripe_now - SETTLED_AFTER
        and (not types or ALL_EVENTS in types or event["type"] in types)
    ]


def _cause(endpoints: Sequence[Endpoint]) -> str:
    if not endpoints:
        return "Stripe has no endpoint to deliver to"
    if not any(one.is_enabled for one in endpoints):
        return "every endpoint is disabled at Stripe, as it does with one that failed for days"
    return "deliveries do not reach the receiver or are refused"


CHECKS = (
    Check("deliveries", Component.WEBHOOKS, judge_deliveries),
    Check("certificates", Component.WEBHOOKS, judge_certificates),
    Check("signatures", Component.WEBHOOKS, judge_signatures, needs_database=False),
)
