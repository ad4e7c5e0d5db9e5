"""Parameters of older API versions, in today's words: a client that names no version gets the account's first one.

Source: Stripe documentation, “API upgrades”: requests without `Stripe-Version` follow the account's default version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Raw = dict[str, Any]

KEPT: dict[tuple[str, str], frozenset[str]] = {
    ("POST", "/v1/customers"): frozenset({"coupon"}),
    ("POST", "/v1/customers/{customer}"): frozenset({"coupon"}),
    ("POST", "/v1/subscription_schedules"): frozenset({"iterations"}),
    ("POST", "/v1/subscription_schedules/{schedule}"): frozenset({"iterations"}),
    ("GET", "/v2/core/event_destinations"): frozenset({"page"}),
    ("GET", "/v2/core/events"): frozenset({"page"}),
}
"""Parameters that today's version has no word for, and that the operation still understands: older ones, and those in
the links from one page of a v2 list to the next."""


def _allowed_types(raw: Raw) -> None:
    raw["allowed_payment_method_types"] = _as_list(raw.pop("payment_method_types"))


def _promotion(raw: Raw) -> None:
    raw["promotion"] = {"type": "coupon", "coupon": raw.pop("coupon")}


def _anchor(raw: Raw) -> None:
    raw["billing_cycle_anchor"] = {"type": raw["billing_cycle_anchor"]}


def _preview_anchor(raw: Raw) -> None:
    details = raw["subscription_details"]
    word = details.get("billing_cycle_anchor")
    if isinstance(word, str):
        is_word = word in {"now", "unchanged"}
        anchor = {"type": word} if is_word else {"type": "timestamp", "timestamp": word}
        raw["subscription_details"] = details | {"billing_cycle_anchor": anchor}


def _iterations(raw: Raw) -> None:
    # How long an iteration lasts depends on the phase's price, so they cannot become today's `duration` here.
    phases = {index: dict(phase) for index, phase in raw["phases"].items()}
    raw["iterations"] = {index: phase.pop("iterations") for index, phase in phases.items() if "iterations" in phase}
    raw["phases"] = phases


def _as_list(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    # payment_method_types[]=card and payment_method_types=card were both taken.
    return value if isinstance(value, dict) else {"0": value}


_RENAMED: dict[tuple[str, str], tuple[str, Callable[[Raw], None]]] = {
    ("POST", "/v1/payment_intents"): ("payment_method_types", _allowed_types),
    ("POST", "/v1/setup_intents"): ("payment_method_types", _allowed_types),
    ("POST", "/v1/checkout/sessions"): ("payment_method_types", _allowed_types),
    ("POST", "/v1/promotion_codes"): ("coupon", _promotion),
    ("POST", "/v1/subscriptions/{subscription_exposed_id}"): ("billing_cycle_anchor", _anchor),
    ("POST", "/v1/subscriptions/{subscription}/resume"): ("billing_cycle_anchor", _anchor),
    ("POST", "/v1/invoices/create_preview"): ("subscription_details", _preview_anchor),
    ("POST", "/v1/subscription_schedules"): ("phases", _iterations),
    ("POST", "/v1/subscription_schedules/{schedule}"): ("phases", _iterations),
}


def modernised(method: str, path: str, raw: Raw) -> tuple[Raw, Raw]:
    """Split parameters into those of today's version and those kept from an older one."""
    current = dict(raw)
    name, rename = _RENAMED.get((method, path), ("", None))
    if rename is not None and name in current:
        rename(current)
    kept = {name: current.pop(name) for name in KEPT.get((method, path), ()) if name in current}
    return current, kept
