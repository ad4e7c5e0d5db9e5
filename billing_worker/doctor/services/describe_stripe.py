"""Say how this installation is set up to talk to Stripe, secrets masked."""

from __future__ import annotations

import re

from pydantic import SecretStr

from billing_worker.runtime.settings import Settings
from billing_worker.stripe_gateway.budget import Limits

_KEY = re.compile(r"(?P<kind>(?:sk|rk)_(?P<mode>test|live)_|whsec_)\w*?(?P<end>\w{4})")
_SHORTEST_WITH_END = 24
"""The last four characters of anything shorter would tell too much of it."""


def describe_mode(settings: Settings, *, stripe_is: str) -> dict[str, object]:
    """Say which mode the settings are for, and which the key is for; the settings refuse to differ."""
    matched = _KEY.fullmatch(settings.stripe_secret_key.get_secret_value())
    return {
        "mode": settings.stripe_mode,
        "key_is_for": (matched["mode"] if matched else None) or "unknown",
        "real_money": settings.livemode and stripe_is == "real",
        "stripe_is": stripe_is,
        "api_base": settings.stripe_api_base,
    }


def describe_stripe(settings: Settings, *, stripe_is: str) -> dict[str, object]:
    """Say how this installation is set up to talk to Stripe, secrets masked."""
    return describe_mode(settings, stripe_is=stripe_is) | {
        "secret_key": _masked(settings.stripe_secret_key),
        "publishable_key": settings.stripe_publishable_key or None,
        "webhook_secrets": [_masked(SecretStr(secret)) for secret in settings.webhook_secrets],
        "api_timeout_seconds": settings.api_timeout.total_seconds(),
        "max_retries": settings.stripe_max_retries,
        "retry_backoff": settings.stripe_retry_backoff,
        "calls_per_second_at_most": Limits.of(settings).overall,
        "cache": settings.stripe_enable_cache,
        "cache_ttl_seconds": settings.stripe_cache_ttl.total_seconds(),
        "proxy": _without_password(settings.https_proxy or settings.http_proxy),
        "graceful_degradation": settings.billing_graceful_degradation,
        "collector": settings.billing_collector,
    }


def _without_password(url: str) -> str | None:
    return re.sub(r"(?<=//)[^/@]+@", "***@", url) or None


def _masked(secret: SecretStr) -> str | None:
    value = secret.get_secret_value()
    matched = _KEY.fullmatch(value)
    if not value or matched is None:
        return "***" if value else None
    return f"{matched['kind']}***{matched['end'] if len(value) >= _SHORTEST_WITH_END else ''}"
