"""What a check is given and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.doctor.states import Component, Verdict
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway


@dataclass(frozen=True, slots=True)
class Subject:
    """The installation under examination.

    Shape: `gateway` does not repeat its reads: a check says at once what it met.
    """

    settings: Settings
    unit_of_work: UnitOfWork
    gateway: StripeGateway


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well something is, what was seen, why it is so, and which commands mend it, in their order."""

    verdict: Verdict
    evidence: str
    cause: str = ""
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one component."""

    name: str
    component: Component
    judge: Callable[[Subject], Judgement]
    needs_database: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """A check's answer."""

    component: Component
    check: str
    verdict: Verdict
    evidence: str
    cause: str
    commands: tuple[str, ...]


def fine(evidence: str) -> Judgement:
    """Return the verdict ok."""
    return Judgement(Verdict.OK, evidence)


def degraded(evidence: str, *, cause: str, commands: tuple[str, ...]) -> Judgement:
    """Return the verdict degraded."""
    return Judgement(Verdict.DEGRADED, evidence, cause, commands)


def failed(evidence: str, *, cause: str, commands: tuple[str, ...]) -> Judgement:
    """Return the verdict failed."""
    return Judgement(Verdict.FAILED, evidence, cause, commands)


def describe_age(age: timedelta) -> str:
    """Say how long something has lasted, in two units at most."""
    seconds = max(0, int(age.total_seconds()))
    for name, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= length:
            return f"{seconds // length} {name} {seconds % length // part} {smaller}"
    return f"{seconds} s"
