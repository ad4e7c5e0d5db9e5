"""Settings that this release knows and does not act on yet, with what holds until it does.

They are refused rather than stored: an operator who switches an address filter on must not believe that it filters.
"""

from __future__ import annotations

from collections.abc import Mapping

PLANNED_SETTINGS: Mapping[str, str] = {
    "stripe_publishable_key": "no page of ours needs it yet; give it to your frontend directly",
    "stripe_batch_requests": "reconciliation always reads pages of 100",
    "stripe_require_2fa": "nothing reminds of it yet; require it in the Stripe Dashboard",
    "billing_async_operations": "long operations always run in workers",
    "billing_use_queue": "operations are always rows before they run",
    "billing_cache_enabled": "the mirror is not cached; PostgreSQL answers",
    "billing_cache_ttl": "the mirror is not cached; PostgreSQL answers",
}
"""Field name → what holds today."""
