"""Phases of a subscription schedule: from their parameters, and into what they ask of the subscription."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.items import check_items, find_price, one_time_price
from billing_worker.sandbox.engine.taxes import named_rates

_SECONDS = {"day": 86_400, "week": 7 * 86_400}
_MONTHS = {"month": 1, "year": 12}
_MAX_PHASES = 10
"""Source: Stripe API reference, subscription schedules: up to ten current or future phases."""
_NOT_SIMULATED = (
    *("application_fee_percent", "automatic_tax", "billing_thresholds", "on_behalf_of", "pause_collection"),
    "transfer_data",
)


def new_phases(
    session: Session, given: list[dict[str, Any]] | None, start: int, iterations: Mapping[str, str]
) -> list[Document]:
    """Turn `phases` parameters into phases that follow each other.

    Raises: ApiError for no phases, a missing price, or a phase that ends before it starts.
    """
    if not given:
        raise invalid("Missing required param: phases.", param="phases", code="parameter_missing")
    if len(given) > _MAX_PHASES:
        raise invalid(f"A subscription schedule can have at most {_MAX_PHASES} phases.", param="phases")
    phases: list[Document] = []
    for index, entry in enumerate(given):
        start = entry["start_date"] if isinstance(entry.get("start_date"), int) else start
        phase = new_phase(session, entry, start, iterations.get(str(index)), f"phases[{index}]")
        if phases and phase["currency"] != phases[0]["currency"]:
            raise invalid("All phases must use the same currency.", param=f"phases[{index}][items]")
        phases.append(phase)
        start = phase["end_date"]
    return phases


def new_phase(session: Session, given: dict[str, Any], start: int, iterations: str | None, param: str) -> Document:
    """Turn one of the `phases` parameters into a phase."""
    for name in _NOT_SIMULATED:
        if given.get(name) and not (name == "automatic_tax" and not given[name]["enabled"]):
            raise invalid(
                f"The sandbox does not simulate {name} of phases.",
                param=f"{param}[{name}]",
                code="sandbox_not_simulated",
            )
    items = given["items"]
    prices = [find_price(session, item, f"{param}[items][{index}]") for index, item in enumerate(items)]
    check_items([{"price": price} for price in prices])
    phase: Document = dict.fromkeys(
        (
            *("application_fee_percent", "billing_cycle_anchor", "billing_thresholds", "collection_method"),
            *("default_payment_method", "description", "invoice_settings", "on_behalf_of", "transfer_data"),
            "trial_end",
        )
    ) | {
        "add_invoice_items": [
            _extra(session, entry, f"{param}[add_invoice_items][{index}]")
            for index, entry in enumerate(given.get("add_invoice_items") or [])
        ],
        "currency": prices[0]["currency"],
        "default_tax_rates": named_rates(session, given.get("default_tax_rates"), f"{param}[default_tax_rates]"),
        "discounts": _discounts(given),
        "end_date": _end(given, prices[0], start, iterations, param),
        "items": [
            _item(session, item, price, f"{param}[items][{index}]")
            for index, (item, price) in enumerate(zip(items, prices, strict=True))
        ],
        "metadata": check_metadata(given.get("metadata")),
        "proration_behavior": given.get("proration_behavior", "create_prorations"),
        "start_date": start,
    }
    assign(phase, given, "billing_cycle_anchor collection_method default_payment_method description trial_end")
    if given.get("invoice_settings"):
        names = ("account_tax_ids", "custom_fields", "days_until_due", "description", "footer", "issuer")
        phase["invoice_settings"] = dict.fromkeys(names) | given["invoice_settings"]
    if given.get("trial"):
        phase["trial_end"] = phase["end_date"]
    return phase


def phase_of(session: Session, subscription: Document) -> Document:
    """Describe what a running subscription is as a phase that ends with its period."""
    items = subscription["items"]["data"]
    entry = {
        "items": [
            {"price": item["price"]["id"], "metadata": dict(item["metadata"])}
            | ({"quantity": item["quantity"]} if "quantity" in item else {})
            for item in items
        ],
        "end_date": items[0]["current_period_end"],
        "metadata": dict(subscription["metadata"]),
    }
    phase = new_phase(session, entry, items[0]["current_period_start"], None, "phases[0]")
    for held, item in zip(phase["items"], items, strict=True):
        held |= {"tax_rates": list(item["tax_rates"]), "discounts": _held(item["discounts"])}
    return phase | {
        "default_tax_rates": list(subscription["default_tax_rates"]),
        "discounts": _held(subscription["discounts"]),
        "trial_end": subscription["trial_end"] if subscription["status"] == "trialing" else None,
    }


def item_params(item: Document) -> Document:
    """Give a phase's item as the parameters of a subscription's item."""
    # What is metered has no quantity of its own.
    quantity = {} if item["quantity"] is None else {"quantity": item["quantity"]}
    return quantity | {
        "price": item["price"],
        "metadata": dict(item["metadata"]),
        "tax_rates": [rate["id"] for rate in item["tax_rates"]],
        "discounts": discount_params(item),
    }


def discount_params(holder: Document) -> list[Document]:
    """Give the discounts of a phase or one of its items as parameters."""
    return [{name: value for name, value in entry.items() if value is not None} for entry in holder["discounts"]]


def extra_params(phase: Document) -> list[Document]:
    """Give a phase's extra charges as parameters of a subscription."""
    return [
        {
            "price": entry["price"],
            "quantity": entry["quantity"],
            "metadata": dict(entry["metadata"]),
            "tax_rates": [rate["id"] for rate in entry["tax_rates"] or []],
            "discounts": discount_params(entry),
            "discountable": entry["discountable"],
        }
        for entry in phase["add_invoice_items"]
    ]


def subscription_params(schedule: Document, phase: Document) -> dict[str, Any]:
    """Give what a phase asks of its subscription, the schedule's defaults included."""
    defaults = schedule["default_settings"]
    given: dict[str, Any] = {
        "collection_method": phase["collection_method"] or defaults["collection_method"],
        "default_tax_rates": [rate["id"] for rate in phase["default_tax_rates"] or []],
        "description": phase["description"] or defaults["description"] or "",
        "discounts": discount_params(phase),
    }
    if method := phase["default_payment_method"] or defaults["default_payment_method"]:
        given["default_payment_method"] = method
    days = (phase["invoice_settings"] or {}).get("days_until_due") or defaults["invoice_settings"]["days_until_due"]
    if days is not None:
        given["days_until_due"] = days
    return given


def _item(session: Session, given: Mapping[str, Any], price: Document, param: str) -> Document:
    if given.get("billing_thresholds"):
        raise invalid(
            "The sandbox does not simulate billing_thresholds.",
            param=f"{param}[billing_thresholds]",
            code="sandbox_not_simulated",
        )
    return {
        "billing_thresholds": None,
        "discounts": _discounts(given),
        "metadata": given.get("metadata") or {},
        "plan": price["id"],
        "price": price["id"],
        "quantity": _quantity(given, price, param),
        "tax_rates": named_rates(session, given.get("tax_rates"), f"{param}[tax_rates]"),
    }


def _extra(session: Session, given: dict[str, Any], param: str) -> Document:
    price = one_time_price(session, given, param)
    if "period" in given:
        raise invalid(
            "The sandbox does not simulate periods of add_invoice_items.",
            param=f"{param}[period]",
            code="sandbox_not_simulated",
        )
    return {
        "discountable": given.get("discountable", True),
        "discounts": _discounts(given),
        "metadata": given.get("metadata") or {},
        "period": {"end": {"type": "min_item_period_end"}, "start": {"type": "phase_start"}},
        "price": price["id"],
        "quantity": given.get("quantity", 1),
        "tax_rates": named_rates(session, given.get("tax_rates"), f"{param}[tax_rates]"),
    }


def _discounts(given: Mapping[str, Any]) -> list[Document]:
    blank = dict.fromkeys(("coupon", "discount", "promotion_code"))
    return [blank | entry for entry in given.get("discounts") or []]


def _held(discount_ids: list[str]) -> list[Document]:
    return [{"coupon": None, "discount": discount_id, "promotion_code": None} for discount_id in discount_ids]


def _quantity(item: Mapping[str, Any], price: Document, param: str) -> int | None:
    if price["recurring"]["usage_type"] != "metered":
        return int(item.get("quantity", 1))
    if "quantity" in item:
        raise invalid("You cannot set the quantity of a metered plan.", param=f"{param}[quantity]")
    return None


def _end(given: Mapping[str, Any], price: Document, start: int, iterations: str | None, param: str) -> int:
    if "end_date" in given:
        if given["end_date"] <= start:
            raise invalid("A phase must end after it starts.", param=f"{param}[end_date]")
        return int(given["end_date"])
    if "duration" in given:
        duration = given["duration"]
        return _later(start, duration["interval"], duration.get("interval_count", 1))
    rhythm = price["recurring"]
    # One billing period unless told otherwise.
    return _later(start, rhythm["interval"], rhythm["interval_count"] * int(iterations or 1))


def _later(start: int, interval: str, count: int) -> int:
    if interval in _SECONDS:
        return start + _SECONDS[interval] * count
    return int(add_months(datetime.fromtimestamp(start, UTC), _MONTHS[interval] * count).timestamp())
