"""The driver of the one clock: it moves the sandbox, then the system, and waits until nothing is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from billing_worker.database.clock import set_offset
from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.errors import TerminalError
from billing_worker.rehearsal.shop_client import ShopClient
from billing_worker.worker.probes import Probe

STEP_TIMEOUT_SECONDS = 180
"""A step's work takes a second; a killed worker is back within twenty, a restarted Redis within ten."""

POLL_SECONDS = 0.05
KICK_SECONDS = 0.3
"""Beat ticks once a second; between the steps of a simulated month nobody wants to wait for it."""

_IN_FLIGHT = text(
    """
    SELECT (SELECT count(*) FROM billing.billing_webhook_queue) + (SELECT count(*) FROM billing.billing_held_objects)
         + (SELECT count(*) FROM billing.billing_intents WHERE status = 'calling')
         + (SELECT count(*) FROM billing.billing_effects WHERE status = 'running')
    """
)


class RehearsalStuckError(TerminalError):
    """A step of the month did not come to rest."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the system did not come to rest within {STEP_TIMEOUT_SECONDS} s: {what}")


@dataclass(frozen=True)
class Rest:
    """Whether anything is still to do, and what."""

    waiting: dict[str, int]

    @property
    def is_quiet(self) -> bool:
        """Say whether nothing is due anywhere."""
        return not self.waiting

    def describe(self) -> str:
        """Name what is still waiting."""
        return ", ".join(f"{count} {name}" for name, count in sorted(self.waiting.items()))


class Driver:
    """Moves time and waits for rest; only one at a time may drive a sandbox."""

    def __init__(
        self,
        client: ShopClient,
        unit_of_work: UnitOfWork,
        probes: Sequence[Probe],
        kick: Callable[[], object],
    ) -> None:
        self._client = client
        self._unit_of_work = unit_of_work
        self._probes = probes
        self._kick = kick

    def now(self) -> datetime:
        """Return the sandbox's time."""
        return from_unix(int(self._client.control("clock")["now"]))

    def align(self) -> None:
        """Bring system and sandbox to one time, the later of the two: a killed run may have left them apart."""
        ours = self._unit_of_work.now()
        if ours > self.now() + timedelta(seconds=2):
            self._client.control("clock", to=int(ours.timestamp()))
        self._follow()

    def move_to(self, instant: datetime) -> None:
        """Move time forward: first Stripe's, whose events must be there, then the system's.

        Raises: RehearsalStuckError when what fell due was not done in time.
        """
        self._client.control("clock", to=int(instant.timestamp()))
        self._follow()
        self.settle()

    def settle(self) -> None:
        """Wait until every delivery is out and nothing is due.

        Raises: RehearsalStuckError.
        """
        deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
        kicked = 0.0
        while not (rest := self._look()).is_quiet:
            if time.monotonic() > deadline:
                raise RehearsalStuckError(rest.describe())
            if time.monotonic() - kicked > KICK_SECONDS:
                kicked = time.monotonic()
                self._kick()
            # Other processes do the work; their progress is only to be seen in the rows.
            time.sleep(POLL_SECONDS)

    def release_held(self) -> None:
        """Let the deliveries go that the sandbox holds back to be late."""
        self._client.control("deliveries/flush", all=True)

    def _follow(self) -> None:
        offset = float(self._client.control("clock")["offset_seconds"])
        with self._unit_of_work.transaction() as session:
            set_offset(session, timedelta(seconds=offset))

    def _look(self) -> Rest:
        deliveries = self._client.control("deliveries")
        waiting = {"deliveries": int(deliveries["pending"])}
        try:
            now = self._unit_of_work.now()
            with self._unit_of_work.transaction() as session:
                waiting["events or calls in flight"] = int(session.execute(_IN_FLIGHT).scalar_one())
                for probe in self._probes:
                    waiting[probe.name] = probe.due(session, now)
        except OperationalError:
            # The database is being restarted: not at rest, and worth waiting for.
            waiting["database unreachable"] = 1
        return Rest({name: count for name, count in waiting.items() if count})


def utc_text(instant: datetime) -> str:
    """Write an instant as people read it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
