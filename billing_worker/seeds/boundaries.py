"""Where test data may be made: never in live mode, and what plays with time or declines only in the sandbox."""

from __future__ import annotations

from billing_worker.app.installation import stripe_kind
from billing_worker.kernel.errors import RefusedError
from billing_worker.runtime.settings import Settings

_TEST_KEYS = ("sk_test_", "rk_test_")


class SeedsError(RefusedError):
    """Test data is not made here."""


class LiveModeError(SeedsError):
    """Test data belongs into test mode."""


class NoSandboxError(SeedsError):
    """The command is for the sandbox, and STRIPE_API_BASE names another Stripe."""


def require_test_mode(settings: Settings) -> None:
    """Refuse anything but a test key in test mode.

    Raises: LiveModeError.
    """
    if settings.livemode:
        raise LiveModeError(
            "STRIPE_MODE is live, and test data belongs into test mode: "
            "`nself env set STRIPE_MODE=test` with a test key"
        )
    if not settings.stripe_secret_key.get_secret_value().startswith(_TEST_KEYS):
        raise LiveModeError(
            "STRIPE_SECRET_KEY is no test key: `nself env set STRIPE_SECRET_KEY=sk_test_…`, "
            "or STRIPE_MOCK_ENABLED=true for the sandbox"
        )


def require_sandbox(settings: Settings) -> None:
    """Refuse anything but the sandbox.

    Raises: LiveModeError, NoSandboxError.
    """
    require_test_mode(settings)
    if stripe_kind(settings) != "sandbox":
        raise NoSandboxError(
            f"STRIPE_API_BASE is {settings.stripe_api_base}, which is no sandbox: `nself start stripe-mock`, "
            "`nself env set STRIPE_MOCK_ENABLED=true` and `nself env set STRIPE_API_BASE=http://127.0.0.1:12111`"
        )
