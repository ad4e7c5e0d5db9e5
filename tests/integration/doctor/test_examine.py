"""Every check finds what is wrong, names its cause, and calls nothing else sick."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.engine import build_engine
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.findings import Finding, Subject
from billing_worker.doctor.schema import newest_revision
from billing_worker.doctor.services.examine import examine
from billing_worker.doctor.states import Component, Verdict
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.breaker import CircuitState
from billing_worker.stripe_gateway.errors import RateLimited
from billing_worker.stripe_gateway.figures import FigureKeeper
from billing_worker.stripe_gateway.priority import Priority
from billing_worker.stripe_gateway.transport import Exchange, Request
from tests.support.deliveries import store
from tests.support.stripe_sandbox import Sandbox, gateway_to, run_sandbox

EVENT = (
    "INSERT INTO billing_webhook_events (event_id, type, object_type, object_id, object_key, lane, created, "
    "received_at, last_delivery_at, status, reason) VALUES "
    "('evt_{n}', 'invoice.paid', 'invoice', 'in_1', '/invoice/in_1', 3, '2026-03-01T11:00Z', '2026-03-01T{at}Z', "
    "'2026-03-01T{at}Z', '{status}', '')"
)
RUN = (
    "INSERT INTO billing_schedule_runs (job, due_at, status, created_at, finished_at) "
    "VALUES ('usage_aggregation', '2026-03-01T{at}Z', '{status}', now(), '2026-03-01T{at}Z')"
)
PARKED = (
    "INSERT INTO billing_parked_objects "
    "VALUES ('/invoice/in_1', 3, 'backoff', '2026-03-01T13:00Z', 2, 'r', 'd', '2026-03-01T{at}Z')"
)
EFFECT = (
    "INSERT INTO billing_effects (effect_key, kind, object_key, status, next_attempt_at, created_at) "
    "VALUES ('k', 'mail.send', '/invoice/in_1', '{status}', '2026-03-01T{at}Z', '2026-03-01T11:00Z')"
)
INTENT = (
    "INSERT INTO billing_intents (id, intent_key, operation, parameters, api_version, idempotency_key, status, "
    "next_attempt_at, created_at) VALUES (gen_random_uuid(), 'k', 'invoices.pay', '{{}}', 'v', 'i', 'parked', "
    "'2026-03-01Z', '2026-03-01Z')"
)
BATCH = (
    "INSERT INTO billing_usage_batches (source, record_count, first_at, last_at, accepted_at) "
    "VALUES ('api', 7, '2026-03-01Z', '2026-03-01Z', '2026-03-01T{at}Z')"
)
QUOTA = (
    "WITH quota AS (INSERT INTO billing_quotas (user_id, metric_type, period, limit_value, set_at, set_by) "
    "VALUES ('u', 'api_calls', 'day', 5, now(), 'x') RETURNING id) "
    "INSERT INTO billing_quota_periods (quota_id, user_id, metric_type, period, "
    "period_start, period_end, limit_value, opened_at) SELECT id, 'u', 'api_calls', 'day', "
    "'2026-02-28T{at}Z', '2026-03-01T{at}Z', 5, now() FROM quota"
)
BLOCKED = "UPDATE billing_quota_periods SET blocked_at = '2026-03-01T11:00Z'"
LEASE = (
    "INSERT INTO billing_quota_leases (id, quota_period_id, units, granted_at, expires_at) "
    "SELECT gen_random_uuid(), id, 9, '2026-03-01T{at}Z', '2026-03-01T{at}Z' FROM billing_quota_periods"
)
LOST = "UPDATE billing_quota_leases SET returned_at = '2026-03-01T11:40Z', spent = 9, ended_by = 'lost'"
HELD = (
    "INSERT INTO billing_usage_held (batch_id, user_id, metric_type, value, created_at, recorded_at, source, reason) "
    "VALUES (1, 'u', 'api_calls', 1, '2026-03-01Z', '2026-03-01Z', 'api', 'unknown_user')"
)
BEAT = "INSERT INTO billing_leases VALUES ('beat', 'host:1', clock_timestamp() + interval '1 hour')"
BOUND = "INSERT INTO billing_installation VALUES (1, '{account}', {livemode}, 'sandbox', now())"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture
def subject(settings: Settings, unit_of_work: UnitOfWork, sandbox: Sandbox) -> Subject:
    return Subject(settings, unit_of_work, gateway_to(sandbox, settings, stripe_max_retries=0))


def look(subject: Subject, component: Component) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(subject, component=component)}


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


CASES: list[tuple[Component, str, list[str], Verdict, str]] = [
    (Component.DATABASE, "round_trip", [], Verdict.OK, "one statement took"),
    (Component.DATABASE, "installation", [], Verdict.DEGRADED, "bound to no Stripe account"),
    (
        Component.DATABASE,
        "installation",
        [BOUND.format(account="acct_1", livemode=False)],
        Verdict.OK,
        "account acct_1, test mode, sandbox Stripe",
    ),
    (
        Component.DATABASE,
        "installation",
        [BOUND.format(account="acct_1", livemode=True)],
        Verdict.FAILED,
        "account acct_1, live mode",
    ),
    (Component.DATABASE, "room", [], Verdict.OK, "0 waiting for locks"),
    (Component.DATABASE, "partitions", [], Verdict.OK, "no row"),
    (
        Component.DATABASE,
        "partitions",
        ["INSERT INTO billing_webhook_payloads VALUES (1, '2090-01-01Z', '')"],
        Verdict.DEGRADED,
        "billing_webhook_payloads",
    ),
    (Component.USAGE, "buffer", [], Verdict.OK, "0 of 10000 records wait in Redis"),
    (Component.USAGE, "held", [], Verdict.OK, "nothing is held"),
    (Component.USAGE, "held", [HELD, HELD], Verdict.DEGRADED, "held: 2 unknown_user"),
    (Component.REDIS, "ping", [], Verdict.OK, "noeviction"),
    (Component.WORKERS, "queues", [], Verdict.FAILED, "no worker answers, 0 messages wait"),
    (Component.WORKERS, "beat", [], Verdict.FAILED, "no Beat holds the lease"),
    (Component.WORKERS, "beat", [BEAT], Verdict.OK, "host:1 leads"),
    (Component.WORKERS, "effects", [EFFECT.format(status="pending", at="11:56")], Verdict.OK, "1 due"),
    (Component.WORKERS, "effects", [EFFECT.format(status="pending", at="11:54")], Verdict.FAILED, "6 min 0 s late"),
    (Component.WORKERS, "effects", [EFFECT.format(status="failed", at="11:00")], Verdict.DEGRADED, "1 failed"),
    (Component.WORKERS, "effects", [EFFECT.format(status="unknown", at="11:00")], Verdict.DEGRADED, "1 with unknown"),
    (Component.SCHEDULES, "lateness", [RUN.format(at="11:56", status="due")], Verdict.OK, "1 runs due"),
    (Component.SCHEDULES, "lateness", [RUN.format(at="11:50", status="due")], Verdict.FAILED, "10 min 0 s late"),
    (
        Component.SCHEDULES,
        "lateness",
        ["INSERT INTO billing_schedule_jobs VALUES ('usage_aggregation', 's', '2026-03-01T11:58Z', now())"],
        Verdict.FAILED,
        "1 jobs with a slot",
    ),
    (
        Component.SCHEDULES,
        "lateness",
        ["INSERT INTO billing_schedule_jobs VALUES ('job_of_an_older_release', 's', '2026-01-01Z', now())"],
        Verdict.OK,
        "0 jobs with a slot",
    ),
    (Component.SCHEDULES, "failures", [], Verdict.OK, "no run failed"),
    (Component.SCHEDULES, "failures", [RUN.format(at="10:00", status="failed")], Verdict.DEGRADED, "1 runs failed"),
    (Component.WEBHOOKS, "backlog", [], Verdict.OK, "0 pending, last delivery never"),
    (
        Component.WEBHOOKS,
        "backlog",
        [EVENT.format(n=1, at="11:59:30", status="pending")],
        Verdict.OK,
        "1 pending, last delivery 30 s ago",
    ),
    (
        Component.WEBHOOKS,
        "backlog",
        [EVENT.format(n=1, at="11:50", status="pending")],
        Verdict.FAILED,
        "the oldest has waited 10 min 0 s",
    ),
    (
        Component.WEBHOOKS,
        "backlog",
        [EVENT.format(n=1, at="11:50", status="pending"), PARKED.format(at="11:50")],
        Verdict.OK,
        "1 pending",
    ),
    (
        Component.WEBHOOKS,
        "dead_letters",
        [EVENT.format(n=1, at="11:50", status="failed"), EVENT.format(n=2, at="11:50", status="quarantined")],
        Verdict.DEGRADED,
        "1 failed, 1 quarantined",
    ),
    (
        Component.WEBHOOKS,
        "lanes",
        ["UPDATE billing_lanes SET batch_started_at = '2026-03-01T11:59Z', batch_row_ids = '{1}' WHERE lane = 5"],
        Verdict.OK,
        "no batch is left behind",
    ),
    (
        Component.WEBHOOKS,
        "lanes",
        ["UPDATE billing_lanes SET batch_started_at = '2026-03-01T11:50Z', batch_row_ids = '{1}' WHERE lane = 5"],
        Verdict.DEGRADED,
        "lanes 5 have",
    ),
    (Component.WEBHOOKS, "parked", [PARKED.format(at="11:30")], Verdict.OK, "1 objects are parked"),
    (Component.WEBHOOKS, "parked", [PARKED.format(at="10:30")], Verdict.DEGRADED, "/invoice/in_1 (r)"),
    (Component.USAGE, "aggregation", [BATCH.format(at="11:58")], Verdict.OK, "1 batches with 7 records"),
    (Component.USAGE, "aggregation", [BATCH.format(at="11:50")], Verdict.FAILED, "the oldest for 10 min 0 s"),
    (Component.QUOTAS, "resets", [QUOTA.format(at="11:55")], Verdict.OK, "no reset is overdue"),
    (Component.QUOTAS, "resets", [QUOTA.format(at="11:00")], Verdict.FAILED, "1 periods ended"),
    (Component.QUOTAS, "blocks", [QUOTA.format(at="11:55")], Verdict.OK, "nobody is blocked"),
    (Component.QUOTAS, "blocks", [QUOTA.format(at="23:00"), BLOCKED], Verdict.FAILED, "blocked without need: u"),
    (Component.QUOTAS, "leases", [QUOTA.format(at="11:55"), LEASE.format(at="11:55")], Verdict.OK, "to the unit"),
    (Component.QUOTAS, "leases", [QUOTA.format(at="11:55"), LEASE.format(at="11:30")], Verdict.FAILED, "hold 9 units"),
    (Component.QUOTAS, "leases", [QUOTA.format(at="11:55"), LEASE.format(at="11:30"), LOST], Verdict.DEGRADED, "lost"),
    (Component.QUOTAS, "enforcement", [], Verdict.OK, "limits are enforced"),
    (Component.STRIPE, "intents", [], Verdict.OK, "0 parked"),
    (Component.STRIPE, "intents", [INTENT.format()], Verdict.DEGRADED, "1 parked"),
    (
        Component.STRIPE,
        "account",
        [BOUND.format(account="acct_other", livemode=False)],
        Verdict.FAILED,
        "account acct_",
    ),
]


WIPE = (
    (
        "TRUNCATE billing_webhook_events, billing_webhook_payloads, billing_parked_objects, billing_effects, "
        "billing_intents, billing_usage_batches, billing_usage_held, billing_quotas, billing_schedule_runs, "
        "billing_schedule_jobs, billing_leases, billing_installation CASCADE"
    ),
    "UPDATE billing_lanes SET batch_started_at = NULL, batch_row_ids = NULL",
)


@pytest.mark.parametrize("component", Component)
def test_checks_tell_sick_from_well(subject: Subject, engine: Engine, component: Component) -> None:
    cases = [case for case in CASES if case[0] is component]
    assert cases
    for _, check, statements, verdict, evidence in cases:
        run(engine, *statements)
        finding = look(subject, component)[check]
        assert (finding.verdict, evidence in finding.evidence) == (verdict, True), (statements, finding)
        # What is wrong has a cause and commands; what is well has neither.
        assert bool(finding.cause) == bool(finding.commands) == (verdict is not Verdict.OK)
        run(engine, *WIPE)


def test_the_schema_is_compared_with_the_release(subject: Subject, engine: Engine) -> None:
    schema = look(subject, Component.DATABASE)["schema"]
    assert (schema.verdict, schema.evidence) == (Verdict.OK, f"migration {newest_revision()}")
    for change, verdict, evidence in (
        ("UPDATE alembic_version SET version_num = '0002'", Verdict.FAILED, "this release needs"),
        ("UPDATE alembic_version SET version_num = '9999'", Verdict.DEGRADED, "this release knows"),
        ("DROP TABLE alembic_version", Verdict.FAILED, "no schema billing"),
    ):
        run(engine, change)
        schema = look(subject, Component.DATABASE)["schema"]
        assert (schema.verdict, evidence in schema.evidence) == (verdict, True)


def test_a_transaction_left_open_is_found(subject: Subject, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing_worker.doctor.checks.database.LONG_TRANSACTION", timedelta(0))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        finding = look(subject, Component.DATABASE)["room"]
    assert (finding.verdict, finding.cause.partition(":")[0]) == (Verdict.DEGRADED, "a client left a transaction open")


def test_the_account_and_its_endpoints_are_asked_for(subject: Subject, sandbox: Sandbox) -> None:
    account = sandbox.api("GET", "account")["id"]
    found = look(subject, Component.STRIPE)
    assert found["account"].evidence == f"account {account} answers at {subject.settings.stripe_api_base}"
    assert (found["endpoint"].verdict, found["endpoint"].evidence) == (Verdict.FAILED, "0 endpoints, none enabled")
    made = sandbox.api("POST", "webhook_endpoints", url="http://127.0.0.1:1/webhooks/stripe", enabled_events=["*"])
    found = look(subject, Component.STRIPE)
    assert found["endpoint"].evidence == "1 enabled: http://127.0.0.1:1/webhooks/stripe"
    sandbox.api("DELETE", f"webhook_endpoints/{made['id']}")


def test_stripe_that_is_away_fails_once_and_is_no_trouble_of_ours(
    subject: Subject, settings: Settings, unit_of_work: UnitOfWork
) -> None:
    away = Subject(settings, unit_of_work, gateway_to(Sandbox("http://127.0.0.1:1"), settings, stripe_max_retries=0))
    verdicts = {name: finding.verdict for name, finding in look(away, Component.STRIPE).items()}
    assert verdicts == {
        "account": Verdict.FAILED,
        "endpoint": Verdict.DEGRADED,
        "intents": Verdict.OK,
        "traffic": Verdict.OK,
    }
    assert {finding.component for finding in examine(subject)} == set(Component)


def test_calls_that_were_too_many_and_open_circuits_are_found(subject: Subject, redis: Redis) -> None:
    assert look(subject, Component.STRIPE)["traffic"].verdict is Verdict.OK
    keeper = FigureKeeper(redis)
    request = Request("customers.list", "get", "/v1/customers")
    exchange = Exchange(RateLimited("too many"), 429, None, 1.0)
    keeper.count(request, exchange, priority=Priority.PAYMENTS, has_waited=True, at=datetime.now(UTC))
    too_many = look(subject, Component.STRIPE)["traffic"]
    assert (too_many.verdict, too_many.evidence) == (
        Verdict.DEGRADED,
        "1 calls in the last hour, 1 refused with 429, 1 waited for room",
    )
    keeper.tell_circuit(CircuitState.OPEN, 10)
    assert "Stripe does not answer" in look(subject, Component.STRIPE)["traffic"].cause


def test_a_missing_key_is_told_before_stripe_is_asked(subject: Subject) -> None:
    settings = Settings.model_validate({**subject.settings.model_dump(), "stripe_secret_key": ""})
    found = look(Subject(settings, subject.unit_of_work, subject.gateway), Component.STRIPE)
    assert found["account"].evidence == "STRIPE_SECRET_KEY is not set"


def test_redis_that_is_away_or_unset_is_told_with_what_it_means(subject: Subject) -> None:
    for url, evidence in (("redis://127.0.0.1:1/0", "Connection refused"), ("", "REDIS_URL is not set")):
        settings = Settings.model_validate({**subject.settings.model_dump(), "redis_url": url})
        sick = Subject(settings, subject.unit_of_work, subject.gateway)
        [finding] = examine(sick, component=Component.REDIS)
        assert (finding.verdict, evidence in finding.evidence) == (Verdict.FAILED, True)


def test_enforcement_that_is_off_is_told(subject: Subject) -> None:
    settings = subject.settings.model_copy(update={"quota_enforcement_enabled": False})
    found = look(Subject(settings, subject.unit_of_work, subject.gateway), Component.QUOTAS)
    assert (found["enforcement"].verdict, found["resets"].verdict) == (Verdict.DEGRADED, Verdict.OK)


def test_a_database_that_is_away_fails_its_checks_after_one_attempt(subject: Subject, clock: FixedClock) -> None:
    dead_url = {"database_url": "postgresql://billing@127.0.0.1:1/billing"}
    settings = Settings.model_validate({**subject.settings.model_dump(), **dead_url})
    engine = build_engine(settings, application_name="test")
    attempts: list[object] = []

    class CountingUnitOfWork(UnitOfWork):
        def now(self):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the clock is asked like the rest
            return clock.now()

        def transaction(self, **options):  # type: ignore[no-untyped-def]  # noqa: ANN003, ANN202 - counted, then as it is
            attempts.append(options)
            return super().transaction(**options)

    away = CountingUnitOfWork(engine, clock, statement_timeout=timedelta(seconds=1))
    findings = examine(Subject(settings, away, subject.gateway))
    engine.dispose()
    assert len(attempts) == 1
    well = {(each.component, each.check) for each in findings if each.verdict is Verdict.OK}
    assert (Component.REDIS, "ping") in well
    dead = [each for each in findings if each.cause == "PostgreSQL does not answer"]
    without = {("redis", "ping"), ("workers", "queues"), ("webhooks", "signatures"), ("quotas", "enforcement")}
    without |= {("stripe", "endpoint"), ("stripe", "traffic")}
    assert {(each.component, each.check) for each in findings if each not in dead} == without


def test_events_that_never_came_are_told_with_why(
    subject: Subject, sandbox: Sandbox, engine: Engine, clock: FixedClock
) -> None:
    assert look(subject, Component.WEBHOOKS)["deliveries"].evidence.startswith("0 of Stripe's newest 0 events")
    for name in ("one", "two"):
        sandbox.api("POST", "customers", name=name)
    assert look(subject, Component.WEBHOOKS)["deliveries"].verdict is Verdict.OK, "they may still be on their way"
    sandbox.advance(hours=1)
    found = look(subject, Component.WEBHOOKS)["deliveries"]
    assert (found.verdict, found.cause) == (Verdict.FAILED, "Stripe has no endpoint to deliver to")
    assert found.evidence == "0 of Stripe's newest 2 events of the day are here, the last came never"
    made = sandbox.api("POST", "webhook_endpoints", url="http://127.0.0.1:1/webhooks/stripe", enabled_events=["*"])
    store(engine, sandbox.listed("events")[:1], clock.now())
    found = look(subject, Component.WEBHOOKS)["deliveries"]
    assert (found.verdict, "webhook test-signature" in " ".join(found.commands)) == (Verdict.DEGRADED, True)
    assert found.evidence == "1 of Stripe's newest 2 events of the day are here, the last came 0 s ago"
    store(engine, sandbox.listed("events"), clock.now())
    assert look(subject, Component.WEBHOOKS)["deliveries"].verdict is Verdict.OK
    sandbox.api("POST", f"webhook_endpoints/{made['id']}", disabled=True)
    found = look(subject, Component.WEBHOOKS)["deliveries"]
    assert (found.verdict, "every endpoint is disabled" in found.evidence) == (Verdict.FAILED, True)
    sandbox.api("DELETE", f"webhook_endpoints/{made['id']}")


def test_a_certificate_that_is_overdue_is_told(subject: Subject, engine: Engine) -> None:
    run(engine, EVENT.format(n=1, at="08:30", status="applied"))
    found = look(subject, Component.WEBHOOKS)["certificates"]
    assert (found.verdict, found.evidence) == (Verdict.DEGRADED, "no certificate")
    certificate = (
        "INSERT INTO billing_webhook_certificates (window_start, window_end, counts, issued_at) "
        "VALUES ('2026-03-01T08:00Z', '2026-03-01T{end}Z', '{{}}', now())"
    )
    run(engine, certificate.format(end="08:50"))
    assert look(subject, Component.WEBHOOKS)["certificates"].verdict is Verdict.DEGRADED
    run(engine, certificate.format(end="10:55"))
    found = look(subject, Component.WEBHOOKS)["certificates"]
    assert (found.verdict, found.evidence) == (Verdict.OK, "certified until 1 h 5 min ago")


def test_refused_signatures_are_counted_in_the_receivers_log(subject: Subject) -> None:
    logs = subject.settings.nself_home / "logs"
    found = look(subject, Component.WEBHOOKS)["signatures"]
    assert (found.verdict, found.evidence) == (Verdict.OK, "the receiver keeps no log on this machine")
    logs.mkdir(parents=True)
    now = datetime.now(UTC)
    lines = [
        {"timestamp": (now - timedelta(minutes=minutes)).isoformat(), "level": "warning", "event": event, **facts}
        for minutes, event, facts in (
            (90, "webhook_rejected", {"reason": "no_matching_signature", "remote": "192.0.2.1"}),
            (20, "webhook_rejected", {"reason": "too_large", "remote": "192.0.2.1"}),
        )
    ]
    (logs / "receiver.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert look(subject, Component.WEBHOOKS)["signatures"].verdict is Verdict.OK
    forged = {**lines[1], "reason": "timestamp_outside_tolerance"}
    with (logs / "receiver.log").open("a") as log:
        log.write(json.dumps(forged) + "\n")
    found = look(subject, Component.WEBHOOKS)["signatures"]
    assert found.evidence == "1 refused in the last hour, from 1 addresses, the last: timestamp_outside_tolerance"
    assert found.verdict is Verdict.DEGRADED
