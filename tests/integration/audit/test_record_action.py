"""The trail of operators: who, what, why, and how it ended, whatever ends it."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from billing_worker.audit.rules import mask_arguments, name_actor
from billing_worker.audit.services.record_action import record_action
from billing_worker.audit.states import ActionOutcome
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.errors import NotFoundError, RefusedError


def trail(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT acted_at, actor, command, arguments, reason, outcome, detail FROM billing_operator_actions "
                "ORDER BY id"
            )
        )
        return [tuple(row) for row in rows]


def hide_trail(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE billing_operator_actions RENAME TO gone"))


def act(unit_of_work: UnitOfWork, **changes: Any) -> Any:
    return record_action(
        unit_of_work, **{"actor": "anna@host", "command": "nself x", "arguments": {}, "reason": "why", **changes}
    )


def test_started_is_there_before_the_work_and_done_after_it(unit_of_work: UnitOfWork, engine: Engine) -> None:
    with act(unit_of_work, arguments={"event_ids": ("evt_1",), "dry_run": False}):
        assert [row[5] for row in trail(engine)] == ["started"]
    assert trail(engine) == [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "anna@host", "nself x", {"event_ids": ["evt_1"]}, "why", "done", "")
    ]


def test_a_command_says_itself_what_it_found(unit_of_work: UnitOfWork, engine: Engine) -> None:
    with act(unit_of_work) as action:
        action.conclude(ActionOutcome.DIFFERENCES, "3 of 5 differ")
    assert [row[5:] for row in trail(engine)] == [("differences", "3 of 5 differ")]


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (RefusedError("not today\nnor tomorrow"), "refused", "not today"),
        (NotFoundError("no evt_1"), "failed", "no evt_1"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (ValueError("for sk_test_abcdef and a@example.com"), "failed", "for sk_test_*** and ***@***"),
    ],
)
def test_an_error_ends_the_action_and_goes_on(
    unit_of_work: UnitOfWork, engine: Engine, error: BaseException, outcome: str, detail: str
) -> None:
    with pytest.raises(type(error)), act(unit_of_work):
        raise error
    assert [row[5:] for row in trail(engine)] == [(outcome, detail)]


def test_the_error_of_the_action_is_told_when_its_outcome_cannot_be_stored(
    unit_of_work: UnitOfWork, engine: Engine
) -> None:
    def lose_the_trail_and_refuse() -> None:
        with act(unit_of_work):
            hide_trail(engine)
            raise RefusedError("not today")

    with pytest.raises(RefusedError, match="not today"):
        lose_the_trail_and_refuse()


def test_an_outcome_that_cannot_be_stored_is_no_success(unit_of_work: UnitOfWork, engine: Engine) -> None:
    with pytest.raises(DBAPIError), act(unit_of_work):
        hide_trail(engine)


def test_arguments_are_kept_without_secrets_and_without_what_was_not_given() -> None:
    given = {
        "card_number": "4242424242424242",
        "new_secret": "whsec_abc",
        "email": "a@example.com",
        "sql": "SELECT 'sk_live_abcdef', '4242424242424242'",
        "limit": 5,
        "write": True,
        "dry_run": False,
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "last": timedelta(hours=1),
        "types": ("a", "b@example.com"),
        "none": None,
        "empty": (),
    }
    assert mask_arguments(given) == {
        "card_number": "***",
        "new_secret": "***",
        "email": "***",
        "sql": "SELECT 'sk_live_***', '****'",
        "limit": 5,
        "write": True,
        "since": "2026-01-01T00:00:00+00:00",
        "last": 3600.0,
        "types": ["a", "***@***"],
    }


def test_the_actor_is_the_process_user_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    real = name_actor()
    monkeypatch.setenv("LOGNAME", "somebody")
    assert getpass.getuser() == "somebody"
    assert name_actor() == real
    assert real.endswith(f"@{socket.gethostname()}")
