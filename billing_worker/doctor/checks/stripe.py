"""Stripe: does it answer, is it the right account, where does it deliver, what could not be proved there."""

from __future__ import annotations

from datetime import UTC, datetime

from billing_worker.doctor.endpoints import list_endpoints
from billing_worker.doctor.findings import Check, Judgement, Subject, degraded, failed, fine
from billing_worker.doctor.queries import find_installation, read_effects
from billing_worker.doctor.services.read_stripe_figures import read_stripe_figures
from billing_worker.doctor.states import Component
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.errors import StripeKeyRejected

NETWORK = ("curl -I https://api.stripe.com", "nself env get HTTPS_PROXY", "nself env get STRIPE_API_BASE")
TOO_MANY = "429"
KEY = ("nself env get STRIPE_MODE", "nself env set STRIPE_SECRET_KEY=-", "nself restart billing")


def judge_account(subject: Subject) -> Judgement:
    """Read the account, and compare it with the one the database belongs to."""
    if not subject.settings.stripe_secret_key.get_secret_value():
        return failed("STRIPE_SECRET_KEY is not set", cause="no key is configured", commands=KEY)
    try:
        account = str(subject.gateway.read("account").data.get("id"))
    except StripeKeyRejected as error:
        return failed(str(error), cause="the key is wrong, revoked, expired or not allowed to do this", commands=KEY)
    except RetryableError as error:
        return failed(str(error), cause="Stripe cannot be reached, or answers with errors", commands=NETWORK)
    except TerminalError as error:
        return failed(str(error), cause="Stripe refuses to say whose key this is", commands=KEY)
    with subject.unit_of_work.transaction() as session:
        bound = find_installation(session)
    if bound is not None and bound.account_id != account:
        cause = f"the key is of another account than the database's {bound.account_id}: nothing must run so"
        return failed(f"account {account}", cause=cause, commands=KEY)
    return fine(f"account {account} answers at {subject.settings.stripe_api_base}")


def judge_endpoint(subject: Subject) -> Judgement:
    """Ask Stripe where it delivers webhooks."""
    try:
        endpoints = list_endpoints(subject.gateway)
    except (RetryableError, TerminalError) as error:
        cause = "Stripe cannot be asked for its endpoints"
        return degraded(f"unknown: {error}", cause=cause, commands=("nself billing webhook status",))
    enabled = [each for each in endpoints if each.status == "enabled"]
    if enabled:
        return fine(f"{len(enabled)} enabled: {', '.join(each.url for each in enabled[:3])}")
    cause = "Stripe has no enabled endpoint, so nothing is delivered; it disables one that failed for days"
    commands = ("stripe webhook_endpoints list", "stripe webhook_endpoints update ENDPOINT --disabled=false")
    return failed(f"{len(endpoints)} endpoints, none enabled", cause=cause, commands=commands)


def judge_intents(subject: Subject) -> Judgement:
    """Look for calls whose outcome could not be proved."""
    with subject.unit_of_work.transaction() as session:
        figures = read_effects(session, subject.unit_of_work.now())
    evidence = f"{figures.intents_open} calls under way, {figures.intents_parked} parked"
    if not figures.intents_parked:
        return fine(evidence)
    cause = "whether these calls happened at Stripe could be proved neither way; they are not repeated by themselves"
    return degraded(evidence, cause=cause, commands=("nself billing intent list",))


def judge_traffic(subject: Subject) -> Judgement:
    """Look at the last hour's calls: refused for their number, held back, or stopped by an open circuit."""
    shared = read_stripe_figures(subject.settings, datetime.now(UTC))
    if shared is None:
        return fine("not counted: Redis is away; each process then takes a tenth of the call budget")
    figures = shared.figures
    too_many = figures.statuses[TOO_MANY]
    evidence = f"{figures.total} calls in the last hour, {too_many} refused with 429, {figures.waits} waited for room"
    if shared.circuits:
        cause = f"Stripe does not answer {', '.join(shared.circuits)}: they call again by themselves"
        return degraded(evidence, cause=cause, commands=("nself billing stripe test-connection",))
    if too_many:
        cause = "others use this Stripe account too, or its limit is lower than STRIPE_RATE_LIMIT says"
        commands = ("nself billing metrics requests --last 1h", "nself env set STRIPE_RATE_LIMIT_BUFFER=0.5")
        return degraded(evidence, cause=cause, commands=commands)
    return fine(evidence)


CHECKS = (
    Check("account", Component.STRIPE, judge_account),
    Check("endpoint", Component.STRIPE, judge_endpoint, needs_database=False),
    Check("intents", Component.STRIPE, judge_intents),
    Check("traffic", Component.STRIPE, judge_traffic, needs_database=False),
)
