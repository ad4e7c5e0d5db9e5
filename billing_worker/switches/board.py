"""Reading the switches: a row where an operator set one, the environment's first value otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing_worker.runtime.settings import Settings
from billing_worker.switches.models import Switch
from billing_worker.switches.states import Switches, SwitchName, parse_switch_value


class SwitchBoard:
    """Knows the first values; every `read` asks the rows again, so a switch works at once in every process."""

    def __init__(self, settings: Settings) -> None:
        self._first: Mapping[str, Any] = {
            SwitchName.SAFE_MODE: settings.billing_safe_mode,
            SwitchName.AUTO_PAYMENT: settings.billing_auto_payment,
            SwitchName.COLLECTOR: settings.billing_collector,
            SwitchName.QUEUE_PAYMENTS: settings.billing_queue_payments,
            SwitchName.MAINTENANCE: False,
        }

    def read(self, session: Session) -> Switches:
        """Read all switches in one statement."""
        set_by_operators = {
            name: parse_switch_value(SwitchName(name), value)
            for name, value in session.execute(select(Switch.name, Switch.value))
            if name in self._first
        }
        return Switches(**{**self._first, **set_by_operators})
