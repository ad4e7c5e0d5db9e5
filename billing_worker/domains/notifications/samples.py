"""What previews are written with: one plausible set of facts per template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billing_worker.domains.notifications.states import Template

_MID_MARCH = 1773576000
_INVOICE: Mapping[str, Any] = {"invoice": "in_123", "number": "EX-0042", "amount_minor": 4900, "currency": "usd"}

NAME = "Ann Example"
PAGE = "https://invoice.stripe.com/i/example"

SAMPLES: Mapping[Template, Mapping[str, Any]] = {
    Template.BILLING_ERROR_APOLOGY: {},
    Template.INVOICE_ISSUED: {**_INVOICE, "due_date": _MID_MARCH, "is_paid": False, "has_pdf": True},
    Template.INVOICE_PAID: _INVOICE,
    Template.INVOICE_PAYMENT_FAILED: {**_INVOICE, "next_payment_attempt": _MID_MARCH},
    Template.PAYMENT_PROCESSING_DELAYED: {},
    Template.QUOTA_ALERT: {
        "metric": "api_calls",
        "percent": 80,
        "taken": 8000,
        "granted": 10000,
        "period_end": _MID_MARCH,
        "blocks": True,
    },
    Template.SUBSCRIPTION_CANCELED: {"subscription": "sub_123", "ended_at": _MID_MARCH, "is_unpaid": False},
    Template.SUBSCRIPTION_TRIAL_ENDING: {"subscription": "sub_123", "trial_end": _MID_MARCH, "ends_with_trial": False},
}
"""Template → the payload of an effect of its kind."""
