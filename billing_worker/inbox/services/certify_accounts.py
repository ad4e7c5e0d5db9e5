"""Certify every account that events are stored of: the platform's own, and those connected to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.certificates import Certificate, Listing
from billing_worker.inbox.objects import list_accounts
from billing_worker.inbox.services.certify_events import certify_events
from billing_worker.stripe_gateway.errors import StripeKeyRejected, StripeNotFound, StripeRefused

_log = structlog.get_logger(__name__)


@dataclass
class Certified:
    """The platform's certificate first; `refused` names connected accounts that Stripe tells nothing about, and why."""

    certificates: list[Certificate] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def certify_accounts(
    unit_of_work: UnitOfWork,
    gateway: Listing,
    *,
    livemode: bool,
    since: datetime | None = None,
    wake: Callable[[int], object],
) -> Certified:
    """Certify account by account; one that has been disconnected does not keep the others from theirs.

    Phases: those of `certify_events`, per account.
    Raises: InvalidValueError when the window is empty; the gateway's errors for the platform's own account, and for all
    when Stripe does not answer: then nothing counts as certified that was not.
    """
    report = Certified([certify_events(unit_of_work, gateway, livemode=livemode, since=since, wake=wake)])
    with unit_of_work.transaction() as session:
        connected = [account for account in list_accounts(session) if account]
    for account in connected:
        try:
            certificate = certify_events(
                unit_of_work, gateway, livemode=livemode, since=since, account_id=account, wake=wake
            )
        except (StripeKeyRejected, StripeNotFound, StripeRefused) as error:
            _log.warning("account_not_certified", account=account, error=str(error))
            report.refused[account] = str(error)
        else:
            report.certificates.append(certificate)
    return report
