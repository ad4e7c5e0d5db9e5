"""Set a switch."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from billing_worker.switches.models import Switch
from billing_worker.switches.states import SwitchName, parse_switch_value


def set_switch(session: Session, name: SwitchName, value: str, *, reason: str, changed_by: str, now: datetime) -> None:
    """Write an operator's value for a switch; from here on it counts instead of the environment's.

    Raises: InvalidValueError for a value the switch cannot have.
    """
    parse_switch_value(name, value)
    row = {"value": value, "reason": reason, "changed_by": changed_by, "changed_at": now}
    session.execute(
        insert(Switch).values(name=name.value, **row).on_conflict_do_update(index_elements=[Switch.name], set_=row)
    )
