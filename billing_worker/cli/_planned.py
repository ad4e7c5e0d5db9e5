"""Commands the guide names and this release does not have: each is refused with what it will do and what serves today.

A command file takes precedence; its line here is then deleted (a test asks for it).
"""

from __future__ import annotations

from dataclasses import dataclass

import click

from billing_worker.kernel.errors import UnavailableError

DASHBOARD = "the same page of Stripe's dashboard"
DATABASE = 'psql "$(nself env get DATABASE_URL --reveal)"'
LOGS = "nself logs billing"
FLOWER = "Flower on 127.0.0.1, port `nself env get FLOWER_PORT`"

_TABLE: dict[str, tuple[str, dict[str, str]]] = {
    "alert": (
        "your own pager or chat",
        {"send": "tell everybody on call about a failure"},
    ),
    "maintenance": (
        "`nself stop billing`, which keeps the receiver storing webhooks",
        {
            "on": "keep storing webhooks, pause workers and refuse mutations with a message",
            "off": "end maintenance",
        },
    ),
    "db": (
        DATABASE,
        {
            "add-index": "create an index without blocking writers",
            "analyze": "refresh a table's statistics",
            "explain": "show how a statement is executed",
            "missing-indexes": "list tables that are read without an index",
            "partition": "create and drop a table's monthly partitions",
            "slow-queries": "list the slowest statements",
            "vacuum": "clean up a table's dead rows",
        },
    ),
    "billing": (
        f"{LOGS}, or {FLOWER}",
        {
            "heap-snapshot": "write what a worker's memory holds",
            "memory-profile": "watch a worker's memory over a time",
            "metrics": "show counters and latencies",
            "performance": "show throughput and latencies against the baseline",
            "profile": "sample where the workers' time goes",
            "show-timeouts": "list every timeout and the setting behind it",
        },
    ),
    "billing audit": (
        DASHBOARD + " (Payments)",
        {"charges": "list suspicious charges", "transactions": "list every movement of money since a time"},
    ),
    "billing export": (DASHBOARD + " (Payments, Export)", {"charges": "write charges as CSV"}),
    "billing incident": ("your own incident log", {"create": "open an incident that later commands refer to"}),
    "billing payment": (DASHBOARD + " (Payments)", {"create": "charge a customer once"}),
    "billing refund": (DASHBOARD + " (Payments)", {"batch": "refund a list of charges, each once"}),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command will do, and what serves until then."""

    purpose: str
    today: str


PLANNED: dict[tuple[str, ...], Plan] = {
    (*noun.split(), verb): Plan(purpose, today)
    for noun, (today, verbs) in _TABLE.items()
    for verb, purpose in verbs.items()
}


class PlannedCommandError(UnavailableError):
    """A command is known and not part of this release."""


class PlannedCommand(click.Command):
    """Takes any arguments and refuses with the reason."""

    def __init__(self, words: tuple[str, ...]) -> None:
        plan = PLANNED[words]
        super().__init__(
            name=words[-1],
            help=f"(Not in this release.) Will {plan.purpose}. Until then: {plan.today}.",
            context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            callback=self._refuse,
        )
        self._words, self._plan = words, plan

    def _refuse(self, arguments: tuple[str, ...]) -> None:  # noqa: ARG002 - whatever they are
        raise PlannedCommandError(
            f"`{' '.join(('nself', *self._words))}` is not in this release. "
            f"It will {self._plan.purpose}. Until then: {self._plan.today}"
        )
