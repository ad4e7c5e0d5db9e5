"""Which switches there are, and what a set of them allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from billing_worker.kernel.errors import InvalidValueError


class SwitchName(StrEnum):
    """The switches; values are their names in rows and, in capitals after `BILLING_`, in the environment."""

    SAFE_MODE = "safe_mode"
    AUTO_PAYMENT = "auto_payment"
    COLLECTOR = "collector"
    QUEUE_PAYMENTS = "queue_payments"
    MAINTENANCE = "maintenance"


COLLECTORS = ("stripe", "nself")


@dataclass(frozen=True, slots=True)
class Switches:
    """The switches as one unit of work sees them."""

    safe_mode: bool
    auto_payment: bool
    collector: str
    queue_payments: bool
    maintenance: bool

    def why_money_is_held(self, *, automatic: bool) -> str | None:
        """Say in one sentence why a call that moves money must wait, None if it may go out.

        Shape: `automatic` means that no operator asked for this very payment.
        """
        if self.safe_mode:
            return "safe mode is on: nothing that moves money runs"
        if self.maintenance:
            return "maintenance is on: workers pause"
        if automatic and not self.auto_payment:
            return "automatic collection is off (BILLING_AUTO_PAYMENT=false)"
        return None


def parse_switch_value(name: SwitchName, value: str) -> bool | str:
    """Read a switch's text.

    Raises: InvalidValueError naming the values it may have.
    """
    if name is SwitchName.COLLECTOR:
        if value not in COLLECTORS:
            raise InvalidValueError(f"collector is one of {', '.join(COLLECTORS)}, not {value!r}; for example nself")
        return value
    if value not in ("true", "false"):
        raise InvalidValueError(f"{name} is true or false, not {value!r}; for example true")
    return value == "true"
