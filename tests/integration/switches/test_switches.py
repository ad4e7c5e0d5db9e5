from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.switches.board import SwitchBoard
from billing_worker.switches.services.set_switch import set_switch
from billing_worker.switches.states import Switches, SwitchName
from tests.support.deliveries import rows


def test_the_environment_gives_the_first_value_and_a_row_the_next(
    session: Session, settings: Settings, clock: FixedClock
) -> None:
    board = SwitchBoard(settings.model_copy(update={"billing_safe_mode": True, "billing_collector": "nself"}))
    first = Switches(safe_mode=True, auto_payment=True, collector="nself", queue_payments=False, maintenance=False)
    assert board.read(session) == first
    for name, value in ((SwitchName.SAFE_MODE, "false"), (SwitchName.MAINTENANCE, "true")):
        set_switch(session, name, value, reason="drill", changed_by="ops", now=clock.now())
    assert board.read(session) == Switches(
        safe_mode=False, auto_payment=True, collector="nself", queue_payments=False, maintenance=True
    )
    set_switch(session, SwitchName.MAINTENANCE, "false", reason="over", changed_by="ops", now=clock.now())
    assert not board.read(session).maintenance
    assert rows(session, "SELECT name, value, reason FROM billing_switches ORDER BY name") == [
        ("maintenance", "false", "over"),
        ("safe_mode", "false", "drill"),
    ]


@pytest.mark.parametrize(("name", "value"), [(SwitchName.SAFE_MODE, "on"), (SwitchName.COLLECTOR, "bank")])
def test_a_value_that_a_switch_cannot_have_changes_nothing(
    session: Session, clock: FixedClock, name: SwitchName, value: str
) -> None:
    with pytest.raises(InvalidValueError, match="for example"):
        set_switch(session, name, value, reason="", changed_by="ops", now=clock.now())
    assert rows(session, "SELECT count(*) FROM billing_switches") == [(0,)]


@pytest.mark.parametrize(
    ("on", "automatic", "held"),
    [
        ({"safe_mode": True}, False, "safe mode"),
        ({"maintenance": True}, False, "maintenance"),
        ({"auto_payment": False}, True, "BILLING_AUTO_PAYMENT=false"),
        ({"auto_payment": False}, False, None),
        ({}, True, None),
    ],
)
def test_money_is_held_for_a_reason(on: dict[str, bool], automatic: bool, held: str | None) -> None:  # noqa: FBT001 - a table's column
    switches = Switches(
        **{  # type: ignore[arg-type]  # booleans by name
            "safe_mode": False,
            "auto_payment": True,
            "collector": "nself",
            "queue_payments": False,
            "maintenance": False,
            **on,
        }
    )
    why = switches.why_money_is_held(automatic=automatic)
    assert (why is None) if held is None else (held in str(why))
