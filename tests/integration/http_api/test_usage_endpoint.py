from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.http_api.answers import MAX_BODY_BYTES
from tests.integration.http_api.conftest import KEY, Api, ApiMaker

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = {"user": "user123", "metric": "api_calls", "value": 2, "idempotency_key": "k1"}


def rows(session: Session) -> list[tuple[Any, ...]]:
    statement = text(
        "SELECT u.user_id, u.metric_type, u.value, u.created_at, u.idempotency_key, b.source "
        "FROM billing_usage u JOIN billing_usage_batches b ON b.id = u.batch_id ORDER BY u.id"
    )
    return [tuple(row) for row in session.execute(statement)]


def test_one_record_is_answered_by_its_own_code(api: Api, session: Session) -> None:
    assert (api.post(ONE).status, api.post(ONE).body["status"]) == (200, "duplicate")
    conflict = api.post(ONE | {"value": 3})
    assert (conflict.status, conflict.body["reason"]) == (409, "conflict")
    assert rows(session) == [("user123", "api_calls", 2, NOW, "k1", "http:shop")]


def test_the_header_is_the_key_of_one_record(api: Api, session: Session) -> None:
    bare = {name: value for name, value in ONE.items() if name != "idempotency_key"}
    assert api.post(bare).body["message"].startswith("idempotency_key: a record needs one")
    assert [api.post(bare, Idempotency_Key="h1").body["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert api.post(ONE, Idempotency_Key="h2").body["reason"] == "two_keys"
    assert api.post([bare], Idempotency_Key="h3").body["reason"] == "header_key_of_batch"
    assert [row[4] for row in rows(session)] == ["h1"]


def test_a_batch_is_answered_item_by_item_and_a_bad_one_takes_no_other_with_it(api: Api, session: Session) -> None:
    answer = api.post(
        [
            ONE | {"at": "2026-02-03T04:05:06+01:00"},
            ONE | {"at": "2026-02-03T04:05:06+01:00"},
            ONE | {"value": 5},
            ONE | {"idempotency_key": "k2", "value": 1.5},
            ONE | {"idempotency_key": "k3", "metric": "apicalls"},
            ONE | {"idempotency_key": "k4", "at": "soon"},
            ONE | {"idempotency_key": "k5", "at": "2026-03-01T12:06:00Z"},
            ONE | {"idempotency_key": "k6", "size": 1},
            7,
            ONE | {"idempotency_key": "k7", "metric": "active_users", "unique_key": "v", "value": 1},
        ]
    )
    assert answer.status == 207
    assert answer.statuses() == ["accepted", "duplicate", *["refused"] * 7, "accepted"]
    assert [result["code"] for result in answer.body["results"]] == [200, 200, 409, 422, 422, 422, 422, 422, 422, 200]
    assert "Invalid integer: 1.5; usage counts whole units, for example 2" in answer.body["results"][3]["message"]
    assert {name: answer.body[name] for name in ("accepted", "duplicate", "refused")} == {
        "accepted": 2,
        "duplicate": 1,
        "refused": 7,
    }
    used_at = datetime(2026, 2, 3, 3, 5, 6, tzinfo=UTC)
    assert [(row[2], row[3], row[4]) for row in rows(session)] == [(2, used_at, "k1"), (1, NOW, "k7")]


def test_ndjson_is_one_record_a_line(api: Api, session: Session) -> None:
    lines = [json.dumps(ONE | {"idempotency_key": f"n{number}"}) for number in range(3)]
    whole = api.post("\n".join(lines) + "\n\n", Content_Type="application/x-ndjson")
    assert (whole.status, whole.statuses()) == (200, ["accepted"] * 3)
    torn = api.post("\r\n".join([lines[0], "{torn", lines[1]]), Content_Type="application/x-ndjson")
    assert (torn.status, torn.statuses()) == (207, ["duplicate", "refused", "duplicate"])
    assert len(rows(session)) == 3


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("{", 400, "invalid_json"),
        ("[" * 100_000, 400, "invalid_json"),
        ("7", 400, "invalid_body"),
        ("[]", 400, "no_records"),
        (b"\xff", 400, "invalid_json"),
        ('{"value": ' + "9" * 5000 + "}", 400, "invalid_json"),
        ("[" + "0," * 10_000 + "0]", 413, "too_many_records"),
        (" " * (MAX_BODY_BYTES + 1), 413, "request_entity_too_large"),
    ],
    ids=["torn", "deep", "number", "empty", "bytes", "digits", "items", "large"],
)
def test_what_is_no_record_is_refused_with_a_reason(
    api: Api, session: Session, body: str | bytes, status: int, reason: str
) -> None:
    answer = api.post(body)
    assert (answer.status, answer.body["reason"]) == (status, reason)
    assert rows(session) == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [("", "missing_key"), ("Basic abc", "malformed_key"), ("Bearer " + "0" * 32, "unknown_key")],
)
def test_nobody_records_without_a_key(api: Api, session: Session, header: str, reason: str) -> None:
    answer = api.post(ONE, Authorization=header)
    assert (answer.status, answer.body["reason"]) == (401, reason)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="nself-billing"'
    assert KEY not in str(answer.body)
    assert rows(session) == []


def test_each_caller_has_its_own_source(api: Api, session: Session) -> None:
    api.post(ONE)
    api.post(ONE | {"idempotency_key": "k2"}, Authorization=f"Bearer {KEY[::-1]}")
    assert [row[5] for row in rows(session)] == ["http:shop", "http:forum"]


def test_keyless_records_are_taken_only_by_setting(make_api: ApiMaker, session: Session) -> None:
    bare = {name: value for name, value in ONE.items() if name != "idempotency_key"}
    answer = make_api(usage_allow_keyless=True).post([bare, bare])
    assert answer.statuses() == ["accepted", "accepted"]
    assert [row[4] for row in rows(session)] == [None, None]


def test_unknown_users_are_refused_or_held_where_users_are_registered(make_api: ApiMaker, session: Session) -> None:
    session.execute(text("INSERT INTO auth.users (id) VALUES ('user123')"))
    session.commit()
    batch = [ONE, ONE | {"user": "stranger", "idempotency_key": "k2"}, ONE | {"metric": "new", "idempotency_key": "k3"}]
    refused = make_api().post(batch)
    assert refused.statuses() == ["accepted", "refused", "refused"]
    assert [result.get("reason") for result in refused.body["results"]] == [None, "unknown_user", "unknown_metric"]
    held = make_api(usage_unknown="hold").post(batch)
    assert held.statuses() == ["duplicate", "held", "held"]
    assert make_api(usage_unknown="hold").post(batch).statuses() == ["duplicate"] * 3
    found = session.execute(text("SELECT user_id, metric_type, value, reason FROM billing_usage_held ORDER BY id"))
    assert [tuple(row) for row in found] == [
        ("stranger", "api_calls", 2, "unknown_user"),
        ("user123", "new", 2, "unknown_metric"),
    ]
    assert len(rows(session)) == 1


def test_health_needs_no_key_and_tells_what_is_missing(make_api: ApiMaker) -> None:
    client = make_api(billing_api_keys="", redis_url="redis://127.0.0.1:1/0").client
    assert client.get("/healthz").get_json() == {"status": "live"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["status"]) == (200, "degraded")
    assert set(ready.get_json()["degraded"]) == {"keys", "redis", "durability"}  # the tests' server runs without fsync
    away = make_api(database_url="postgresql://nobody@127.0.0.1:1/none").client
    assert (away.get("/readyz").status_code, set(away.get("/readyz").get_json()["degraded"])) == (503, {"postgresql"})
    buffered = make_api(database_url="postgresql://nobody@127.0.0.1:1/none", usage_enable_buffer=True).client
    assert buffered.get("/readyz").status_code == 200, "the buffer takes usage in"


def test_without_postgresql_nothing_is_acknowledged(make_api: ApiMaker) -> None:
    answer = make_api(database_url="postgresql://nobody@127.0.0.1:1/none").post(ONE)
    assert (answer.status, answer.body["reason"]) == (503, "database_away")
    assert answer.headers["Retry-After"] == "1"
