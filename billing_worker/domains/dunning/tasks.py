"""Tasks of dunning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from billing_worker.domains.dunning.handlers import PLAN_RETRY, RESUME, SETTLE
from billing_worker.domains.dunning.services.plan_payment_retry import plan_payment_retry
from billing_worker.domains.dunning.services.resume_payment_retries import resume_payment_retries
from billing_worker.domains.dunning.services.settle_payment_retries import settle_payment_retries
from billing_worker.domains.payments.rules import RetryPolicy
from billing_worker.effects.runner import EffectFunction, count_due
from billing_worker.effects.services.run_due_effects import run_due_effects
from billing_worker.switches.board import SwitchBoard
from billing_worker.worker.container import Container
from billing_worker.worker.probes import Probe
from billing_worker.worker.queues import EFFECTS
from billing_worker.worker.tasks import task


@task("dunning.run_effects", queue=EFFECTS)
def run_effects(container: Container) -> Mapping[str, object]:
    """Plan the answers to failed payments and end the chases that are over."""
    plan = partial(
        plan_payment_retry,
        board=SwitchBoard(container.settings),
        policy=RetryPolicy.parse(container.settings.billing_payment_retry_days),
    )
    functions: dict[str, EffectFunction] = {
        PLAN_RETRY: plan,
        SETTLE: settle_payment_retries,
        RESUME: resume_payment_retries,
    }
    return asdict(run_due_effects(container.unit_of_work, functions))


def _count_due(session: Session, now: datetime) -> int:
    return count_due(session, (PLAN_RETRY, RESUME, SETTLE), now)


PROBES = (Probe("dunning_effects", "dunning.run_effects", EFFECTS, _count_due),)
