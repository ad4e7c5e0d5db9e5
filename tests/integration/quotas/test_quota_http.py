from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.gate import QuotaGate
from billing_worker.domains.quotas.lease_store import LeaseStore, connect
from billing_worker.domains.usage.rules import MetricCatalog
from billing_worker.http_api.app import create_app
from billing_worker.http_api.container import build_api_container
from billing_worker.http_api.health import HealthEndpoints
from billing_worker.http_api.quotas import LeaseReporter, QuotaEndpoints
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings
from billing_worker.runtime.values import read_api_keys
from tests.integration.quotas.conftest import UTC_ZONE, SetQuota

KEY = "a-key-of-forty-characters-0123456789abcd"
USER = {"user": "user123", "metric": "api_calls"}


@pytest.fixture
def gate(unit_of_work: UnitOfWork, redis_url: str, metrics: MetricCatalog, clock: FixedClock) -> Iterator[QuotaGate]:
    client = connect(redis_url)
    yield QuotaGate(
        unit_of_work,
        LeaseStore(client),
        metrics=metrics,
        zone=UTC_ZONE,
        enforcing=True,
        clock=lambda: clock.now().timestamp(),
    )
    client.close()


@pytest.fixture
def client(gate: QuotaGate, unit_of_work: UnitOfWork, settings: Settings) -> Iterator[FlaskClient]:
    container = build_api_container(settings)
    app: Flask = create_app(
        [QuotaEndpoints(gate, unit_of_work, container.metrics, enforcing=True)],
        health=HealthEndpoints(container, concerns=dict),
        keys=read_api_keys(f"shop:{KEY}"),
        metrics=container.metrics,
    )
    asking = app.test_client()
    asking.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {KEY}"
    yield asking
    container.redis.close()
    container.engine.dispose()


def ask(client: FlaskClient, verb: str, body: object, code: int = 200, key: str | None = None) -> dict[str, object]:
    headers = {"Idempotency-Key": key} if key else {}
    response = client.post(f"/v1/quota/{verb}", json=body, headers=headers)
    assert response.status_code == code, response.text
    found: dict[str, object] = response.get_json()
    return found


def test_a_check_over_http(client: FlaskClient, set_terms: SetQuota) -> None:
    set_terms(3)
    granted = ask(client, "check", {**USER, "units": 2})
    assert granted == {
        "allowed": True,
        "reason": "granted",
        "decided_by": "postgresql",
        "remaining": 1,
        "limit": 3,
        "resets_at": "2026-04-01T00:00:00+00:00",
    }
    refused = ask(client, "check", {**USER, "units": 2})
    assert (refused["allowed"], refused["reason"], refused["remaining"]) == (False, "used_up", 1)
    assert ask(client, "check", {**USER, "user": "user124"})["reason"] == "no_quota"
    assert client.post("/v1/quota/check", json=USER, headers={"Authorization": ""}).status_code == 401
    figures = client.get("/metrics").get_data(as_text=True)
    assert 'nself_quota_checks_total{decided_by="postgresql",reason="used_up"} 1.0' in figures


@pytest.mark.parametrize(
    ("verb", "body", "said"),
    [
        ("check", {"user": "u"}, "missing: metric"),
        ("check", {**USER, "unit": 3}, "unknown: unit"),
        ("check", {**USER, "units": "1.5"}, "whole number"),
        ("check", {**USER, "units": 0}, "at least 1"),
        ("check", {**USER, "metric": "calls"}, "unknown metric 'calls'"),
        ("reserve", {**USER, "lasts_seconds": 90_000}, "not between 1 second and 1 day"),
        ("reserve", {**USER, "metric": "storage_gb"}, "is not summed"),
        ("release", {"reservation": "mine"}, "the id that reserve answered"),
    ],
)
def test_what_cannot_be_asked(client: FlaskClient, verb: str, body: object, said: str) -> None:
    response = client.post(f"/v1/quota/{verb}", json=body)
    assert response.status_code in {409, 422}
    assert said in response.get_json()["message"]


def test_a_reservation_holds_its_units_until_it_ends(
    client: FlaskClient, set_terms: SetQuota, engine: Engine, clock: FixedClock, redis: Redis
) -> None:
    set_terms(1000)
    assert ask(client, "check", USER)["allowed"] is True
    assert redis.exists("billing:quota:user123")
    first = ask(client, "reserve", {**USER, "units": 900}, key="job-7")
    assert (first["allowed"], first["status"], first["remaining"]) == (True, "open", 99)
    again = ask(client, "reserve", {**USER, "units": 900}, key="job-7")
    assert again["reservation"] == first["reservation"]
    assert ask(client, "reserve", {**USER, "units": 100})["allowed"] is False
    assert "use a new id" in str(
        ask(client, "reserve", {**USER, "units": 1, "reservation": first["reservation"]}, 409)["message"]
    )
    end = {"reservation": first["reservation"]}
    assert "not between 0 and the 900" in str(ask(client, "commit", {**end, "units": 901}, 422)["message"])
    done = ask(client, "commit", {**end, "units": 400})
    assert (done["status"], done["spent"], ask(client, "commit", {**end, "units": 400})) == ("committed", 400, done)
    assert "was committed" in str(ask(client, "release", end, 409)["message"])
    second = ask(client, "reserve", {**USER, "units": 599})
    assert (second["allowed"], second["remaining"]) == (True, 0)
    assert ask(client, "check", USER)["allowed"] is False
    freed = ask(client, "release", {"reservation": second["reservation"]})
    assert (freed["status"], ask(client, "release", {"reservation": second["reservation"]})) == ("released", freed)
    third = ask(client, "reserve", {**USER, "units": 599, "lasts_seconds": 60})
    clock.advance(timedelta(seconds=60))
    assert ask(client, "check", {**USER, "units": 599})["allowed"] is True
    assert "was expired" in str(ask(client, "commit", {"reservation": third["reservation"]}, 409)["message"])
    assert ask(client, "release", {"reservation": str(uuid4())}, 404)["reason"] == "not_found"
    with engine.connect() as connection:
        spent = connection.execute(text("SELECT spent_value FROM billing_quota_periods")).scalar_one()
    assert spent == 1000


def test_a_process_that_stops_reports_what_it_granted(
    gate: QuotaGate, set_terms: SetQuota, engine: Engine, redis: Redis
) -> None:
    set_terms(1000)
    assert all(gate.check("user123", "api_calls").allowed for _ in range(11))
    redis.flushdb()
    reporter = LeaseReporter(gate)
    reporter.start()
    reporter.stop()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT units FROM billing_quota_lease_spenders")).scalars().all()
    assert found == [10]
