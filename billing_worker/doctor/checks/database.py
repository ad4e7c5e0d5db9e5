"""PostgreSQL: is it there, is it this installation's, has it room."""

from __future__ import annotations

import time
from datetime import timedelta

from sqlalchemy import text

from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, describe_age, failed, fine
from billing_worker.doctor.queries import (
    find_installation,
    find_revision,
    list_filled_default_partitions,
    read_server,
)
from billing_worker.doctor.schema import newest_revision
from billing_worker.doctor.states import Component

SLOW_MS = 250
"""A round trip within a data centre takes below 2 ms; at 250 ms every task is slowed down by its statements."""

CONNECTIONS_SHARE = 0.9
LONG_TRANSACTION = timedelta(minutes=10)
"""Longer ones keep dead rows from being cleaned up; the longest of our own ends after 60 s."""

UPGRADE = "python -m migrations upgrade"


def judge_round_trip(subject: Subject) -> Judgement:
    """Time one statement on an open connection."""
    with subject.unit_of_work.transaction() as session:
        started = time.perf_counter()
        session.execute(text("SELECT 1"))
        took_ms = (time.perf_counter() - started) * 1000
    evidence = f"one statement took {took_ms:.1f} ms"
    if took_ms > SLOW_MS:
        return degraded(evidence, cause="the network or the server is slow", commands=("nself db status",))
    return fine(evidence)


def judge_schema(subject: Subject) -> Judgement:
    """Compare the schema's migration with this release's."""
    with subject.unit_of_work.transaction() as session:
        found = find_revision(session)
    wanted = newest_revision()
    if found == wanted:
        return fine(f"migration {found}")
    if found is None:
        return failed("no schema billing", cause="the database is new or another one", commands=(UPGRADE,))
    if found < wanted:
        cause = "the release is newer than the schema"
        return failed(f"migration {found}, this release needs {wanted}", cause=cause, commands=(UPGRADE,))
    cause = "another host runs a newer release, or a release was taken back"
    commands = ("install the release that made the schema",)
    return degraded(f"migration {found}, this release knows {wanted}", cause=cause, commands=commands)


def judge_installation(subject: Subject) -> Judgement:
    """Compare whom the database belongs to with the settings."""
    with subject.unit_of_work.transaction() as session:
        bound = find_installation(session)
    if bound is None:
        cause = "no process could ask Stripe for its account yet"
        commands = ("nself billing health --component stripe", "nself restart billing")
        return degraded("bound to no Stripe account", cause=cause, commands=commands)
    evidence = f"account {bound.account_id}, {'live' if bound.livemode else 'test'} mode, {bound.stripe_is} Stripe"
    if bound.livemode is not subject.settings.livemode:
        cause = f"STRIPE_MODE={subject.settings.stripe_mode} with a database of the other mode: no process will start"
        commands = ("nself env get DATABASE_URL", "nself env get STRIPE_MODE")
        return failed(evidence, cause=cause, commands=commands)
    return fine(evidence)


def judge_room(subject: Subject) -> Judgement:
    """Look for exhausted connections, transactions left open, and waiting locks."""
    with subject.unit_of_work.transaction() as session:
        facts = read_server(session)
    evidence = (
        f"{facts.connections} of {facts.max_connections} connections, longest transaction "
        f"{describe_age(facts.longest_transaction)}, {facts.waiting_for_locks} waiting for locks"
    )
    if facts.connections >= facts.max_connections * CONNECTIONS_SHARE:
        cause = "more processes times BILLING_DB_POOL_SIZE than the server takes"
        return degraded(
            evidence, cause=cause, commands=("nself env set BILLING_DB_POOL_SIZE=3", "nself restart billing")
        )
    if facts.longest_transaction > LONG_TRANSACTION:
        cause = "a client left a transaction open: dead rows cannot be cleaned up"
        look = "SELECT pid, application_name, state, xact_start FROM pg_stat_activity ORDER BY xact_start"
        return degraded(evidence, cause=cause, commands=(f'nself db query "{look}"',))
    return fine(evidence)


def judge_partitions(subject: Subject) -> Judgement:
    """Look for rows that found no month's partition."""
    with subject.unit_of_work.transaction() as session:
        filled = list_filled_default_partitions(session)
    if not filled:
        return fine("no row lies in a default partition")
    cause = "partitions of coming months were not made in time, or rows carry a far-off time"
    commands = ("nself billing jobs list", "nself billing health --component schedules")
    return degraded(f"rows in the default partition of {', '.join(filled)}", cause=cause, commands=commands)


CHECKS = (
    Check("round_trip", Component.DATABASE, judge_round_trip),
    Check("schema", Component.DATABASE, judge_schema),
    Check("installation", Component.DATABASE, judge_installation),
    Check("room", Component.DATABASE, judge_room),
    Check("partitions", Component.DATABASE, judge_partitions),
)
