"""One installation, one account, one mode: a process that does not fit its database refuses to start."""

from __future__ import annotations

from urllib.parse import urlsplit

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.quotas.services.check_zone import check_zone
from billing_worker.kernel.errors import RefusedError, RetryableError, TerminalError
from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.client import StripeGateway

_log = structlog.get_logger(__name__)

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class OtherInstallationError(RefusedError):
    """The database belongs to another Stripe account, mode or kind of Stripe."""


def stripe_kind(settings: Settings) -> str:
    """Say where Stripe is: the real one, or a sandbox."""
    host = urlsplit(settings.stripe_api_base).hostname or ""
    return "sandbox" if settings.stripe_mock_enabled or host in _LOOPBACK else "real"


def bind_installation(unit_of_work: UnitOfWork, gateway: StripeGateway, settings: Settings) -> None:
    """Check that this process fits its database; the first process binds an empty one to its account and zone.

    Phases: read; ask Stripe for the account if the database is not bound; bind, commit.
    Raises: OtherInstallationError; OtherZoneError. A Stripe that cannot be asked leaves the database unbound for now.
    """
    with unit_of_work.transaction() as session:
        if fits_installation(session, settings):
            return
    try:
        account_id = str(gateway.read("account").data["id"])
    except (RetryableError, TerminalError) as error:
        _log.warning("installation_unbound", error=str(error))
        return
    with unit_of_work.transaction() as session:
        session.execute(
            text(
                "INSERT INTO billing.billing_installation (account_id, livemode, stripe_is, created_at) "
                "VALUES (:account_id, :livemode, :stripe_is, :now) ON CONFLICT (id) DO NOTHING"
            ),
            {
                "account_id": account_id,
                "livemode": settings.livemode,
                "stripe_is": stripe_kind(settings),
                "now": unit_of_work.now(),
            },
        )
        fits_installation(session, settings)


def fits_installation(session: Session, settings: Settings) -> bool:
    """Say whether the database is bound, and to this account's mode, kind of Stripe and time zone.

    Raises: OtherInstallationError; OtherZoneError.
    """
    row = session.execute(
        text("SELECT account_id, livemode, stripe_is FROM billing.billing_installation WHERE id = 1")
    ).one_or_none()
    if row is None:
        return False
    account_id, livemode, stripe_is = row
    wanted = (settings.livemode, stripe_kind(settings))
    if (livemode, stripe_is) != wanted:
        mode = "live" if livemode else "test"
        raise OtherInstallationError(
            f"this database holds account {account_id} in {mode} mode of a {stripe_is} Stripe, the settings say "
            f"{settings.stripe_mode} mode of a {stripe_kind(settings)} one: use another DATABASE_URL or mend STRIPE_*"
        )
    check_zone(session, settings.billing_timezone)
    return True
