"""What commands share that show mirrored objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from billing_worker.cli._container import load_command_settings, open_unit_of_work
from billing_worker.cli._errors import DifferencesFound
from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import Row, say, show_facts
from billing_worker.cli._stripe import impatient_gateway

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from billing_worker.changes.services import compare_object
    from billing_worker.changes.services.compare_object import ObjectComparison
    from billing_worker.stripe_gateway import errors
else:
    compare_object = lazy_module("billing_worker.changes.services.compare_object")
    errors = lazy_module("billing_worker.stripe_gateway.errors")


def show_object(invocation: Invocation, describe: Callable[[Session], Row], *, as_json: bool) -> None:
    """Show one object out of the mirror; nobody else is asked."""
    with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
        facts = describe(session)
    show_facts(facts, as_json=as_json)


def show_comparison(
    invocation: Invocation, object_type: str, object_id: str, describe: Callable[[Session], Row], *, as_json: bool
) -> None:
    """Show what the mirror and Stripe have of an object.

    With BILLING_GRACEFUL_DEGRADATION a Stripe that cannot be asked is told, and the mirror alone is shown.
    Raises: DifferencesFound when they differ; StripeUnavailable, RateLimited.
    """
    settings = load_command_settings(invocation)
    facts: dict[str, object] = {}
    try:
        with open_unit_of_work(invocation) as unit_of_work:
            compared = compare_object.compare_object(unit_of_work, impatient_gateway(settings), object_type, object_id)
    except (errors.StripeUnavailable, errors.RateLimited) as error:
        if not settings.billing_graceful_degradation:
            raise
        say(f"Stripe cannot be asked, so this is the mirror's word alone: {error}")
        show_object(invocation, describe, as_json=as_json)
        return
    if compared.is_here:
        with open_unit_of_work(invocation) as unit_of_work, unit_of_work.transaction() as session:
            facts |= describe(session)
    facts |= {"here": compared.is_here, "at_stripe": compared.is_at_stripe}
    facts["differences"] = {path: {"stripe": a, "here": b} for path, (a, b) in compared.differences.items()}
    show_facts(facts, as_json=as_json)
    _tell_difference(object_type, object_id, compared)


def _tell_difference(object_type: str, object_id: str, compared: ObjectComparison) -> None:
    if compared.is_equal:
        return
    if not compared.is_here and not compared.is_at_stripe:
        raise click.UsageError(f"neither Stripe nor this installation has {object_type} {object_id}")
    if not compared.is_at_stripe:
        raise DifferencesFound(f"{object_id} is here and not (or no longer) at Stripe: `nself billing webhook certify`")
    bring = f"`nself billing {object_type} import {object_id}` brings it here"
    raise DifferencesFound(f"{object_id} is {'different' if compared.is_here else 'missing'} here: {bring}")
