"""A subscription's terms: how it is paid, what its trial does, when it ends."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, merge
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.charging import check_owner

NOTICE_SECONDS = 3 * 86_400
_DAY_SECONDS = 86_400
_TRIAL_MAX_DAYS = 730
"""Source: Stripe API reference, trial_period_days: at most two years."""
TERMS = (
    "automatic_tax cancel_at cancel_at_period_end collection_method days_until_due default_source description "
    "invoice_settings payment_settings trial_settings"
)
"""The parameters that `set_terms` reads."""


def set_terms(session: Session, subscription: Document, params: dict[str, Any]) -> None:
    """Set what is not about items, discounts or taxes.

    Raises: ApiError for terms that contradict each other.
    """
    assign(subscription, params, "collection_method days_until_due description default_source")
    if method := subscription["default_payment_method"]:
        check_owner(session.get("payment_method", method, param="default_payment_method"), subscription["customer"])
    _check_collection(subscription, params)
    merge(subscription, params, "trial_settings", "invoice_settings", "payment_settings")
    _check_trial_settings(subscription)
    if (params.get("automatic_tax") or {}).get("enabled"):
        raise invalid(
            "The sandbox does not simulate automatic_tax.", param="automatic_tax", code="sandbox_not_simulated"
        )
    if params.get("cancel_at") and params.get("cancel_at_period_end"):
        raise invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.", param="cancel_at"
        )
    if "cancel_at" in params:
        _set_cancel_at(session, subscription, params["cancel_at"])
    if "cancel_at_period_end" in params:
        _set_cancel_at_period_end(session, subscription, is_wanted=params["cancel_at_period_end"])


def trial_end_of(session: Session, params: dict[str, Any], items: list[Document] | None = None) -> int | None:
    """Read when a trial ends; None without a trial."""
    given = params.get("trial_end")
    if given == "now":
        return None
    if given is not None:
        if given <= session.now:
            raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="trial_end")
        if given > session.now + _TRIAL_MAX_DAYS * _DAY_SECONDS:
            raise invalid("Invalid trial_end: a trial lasts at most two years.", param="trial_end")
        return int(given)
    days = params.get("trial_period_days", 0)
    if not days and params.get("trial_from_plan"):
        days = max((item["price"]["recurring"]["trial_period_days"] or 0 for item in items or []), default=0)
    if not 0 <= days <= _TRIAL_MAX_DAYS:
        raise invalid(f"Invalid trial_period_days: must be between 1 and {_TRIAL_MAX_DAYS}.", param="trial_period_days")
    return session.now + days * _DAY_SECONDS if days else None


def notice_at(trial_end: int | None) -> int | None:
    """Tell when a trial's coming end is announced."""
    return None if trial_end is None else trial_end - NOTICE_SECONDS


def check_cancel_at(cancel_at: int | str | None, now: int) -> None:
    """Refuse an end in the past."""
    if isinstance(cancel_at, int) and cancel_at <= now:
        raise invalid("Invalid timestamp: must be an integer Unix timestamp in the future.", param="cancel_at")


def first_billing_mode(params: dict[str, Any], now: int) -> Document:
    """Read a new subscription's billing mode.

    Source: Stripe changelog 2025-09-30.clover: flexible unless told otherwise.
    """
    given = params.get("billing_mode") or {"type": "flexible"}
    if given["type"] == "classic":
        return {"flexible": None, "type": "classic"}
    shown = (given.get("flexible") or {}).get("proration_discounts", "included")
    if shown != "included":
        raise invalid(
            "The sandbox does not simulate itemized proration_discounts.",
            param="billing_mode[flexible][proration_discounts]",
            code="sandbox_not_simulated",
        )
    return {"flexible": {"proration_discounts": shown}, "type": "flexible", "updated_at": now}


def is_flexible(subscription: Document) -> bool:
    """Tell whether a subscription credits what was really charged."""
    return bool(subscription["billing_mode"]["type"] == "flexible")


def _check_collection(subscription: Document, params: dict[str, Any]) -> None:
    is_sent = subscription["collection_method"] == "send_invoice"
    if is_sent and subscription["days_until_due"] is None:
        raise invalid(
            "If you pass `collection_method=send_invoice`, you must also pass `days_until_due`.",
            param="days_until_due",
            code="parameter_missing",
        )
    if not is_sent and params.get("days_until_due") not in {None, ""}:
        raise invalid(
            "You can only pass `days_until_due` if `collection_method` is set to `send_invoice`.",
            param="days_until_due",
        )
    if not is_sent:
        subscription["days_until_due"] = None


def _check_trial_settings(subscription: Document) -> None:
    behavior = subscription["trial_settings"]["end_behavior"]
    if behavior.get("billing_cycle_anchor", "now") != "now":
        raise invalid(
            "The sandbox begins a new billing cycle at the end of every trial.",
            param="trial_settings[end_behavior][billing_cycle_anchor]",
            code="sandbox_not_simulated",
        )


def _set_cancel_at(session: Session, subscription: Document, given: Any) -> None:  # noqa: ANN401 - an instant or a word
    check_cancel_at(given, session.now)
    ends = [item["current_period_end"] for item in subscription["items"]["data"]]
    words = {"min_period_end": min(ends), "max_period_end": max(ends), "": None}
    subscription |= {
        "cancel_at": words.get(given, given),
        "cancel_at_period_end": False,
        "canceled_at": session.now if given else None,
    }
    _note_reason(subscription, is_wanted=bool(given))


def _set_cancel_at_period_end(session: Session, subscription: Document, *, is_wanted: bool) -> None:
    if is_wanted == subscription["cancel_at_period_end"]:
        return
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    subscription |= {
        "cancel_at_period_end": is_wanted,
        "cancel_at": ends if is_wanted else None,
        "canceled_at": session.now if is_wanted else None,
    }
    _note_reason(subscription, is_wanted=is_wanted)


def _note_reason(subscription: Document, *, is_wanted: bool) -> None:
    reason = "cancellation_requested" if is_wanted else None
    subscription["cancellation_details"] = subscription["cancellation_details"] | {"reason": reason}
