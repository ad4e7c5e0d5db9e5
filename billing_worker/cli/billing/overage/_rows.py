"""Overage as commands show it; amounts in minor units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from billing_worker.cli._output import show_rows

if TYPE_CHECKING:
    from billing_worker.domains.overage.models import Overage
    from billing_worker.domains.overage.queries.periods import UsedPeriod
    from billing_worker.domains.overage.services.audit_overages import AuditedOverage
    from billing_worker.domains.overage.services.calculate_overages import Calculation
    from billing_worker.domains.overage.services.recalculate_overages import Recalculated

PARTS = "parts"


def show_overage_rows(rows: Sequence[dict[str, object]], *, as_json: bool, empty: str = "none") -> None:
    """Print rows; their parts are a list for programs and a sum in words for people."""
    if not as_json:
        rows = [{**row, PARTS: _in_words(row[PARTS])} if PARTS in row else row for row in rows]
    show_rows(rows, as_json=as_json, empty=empty)


def overage_row(one: Overage, invoice: str | None) -> dict[str, object]:
    """Return a stored row."""
    return {
        "metric": one.metric_type,
        "period_start": one.period_start,
        "period_end": one.period_end,
        "kind": one.kind,
        "status": one.status,
        "used": one.used_value,
        "quota": one.granted_value,
        "units": one.units,
        "amount_minor": one.amount_minor,
        "currency": one.currency or None,
        "price": (one.price or {}).get("source"),
        "parts": one.explanation,
        "invoice": invoice,
        "invoice_item": one.invoice_item_id,
        "key": one.overage_key,
        "detail": one.detail or one.reason or None,
    }


def open_row(period: UsedPeriod, calculation: Calculation) -> dict[str, object]:
    """Return what an open period comes to by now, in the shape of a stored row."""
    return {
        "metric": period.metric_type,
        "period_start": period.period.start,
        "period_end": period.period.end,
        "kind": "period",
        "status": "open" if calculation.charge else "not priced",
        "used": period.used,
        "quota": period.granted,
        "units": calculation.units,
        **_priced(calculation),
        "invoice": None,
        "invoice_item": None,
        "key": None,
        "detail": calculation.why or None,
    }


def calculation_row(user: str, used: int, limit: int, calculation: Calculation) -> dict[str, object]:
    """Return what given figures come to."""
    return {
        "user": user,
        "metric": calculation.metric_type or None,
        "used": used,
        "quota": limit,
        "units": calculation.units,
        **_priced(calculation),
        "why_not": calculation.why or None,
    }


def audit_row(one: AuditedOverage) -> dict[str, object]:
    """Return a row beside what it was made of."""
    return {
        "key": one.row.overage_key,
        "status": one.row.status,
        "used": one.row.used_value,
        "records_say": one.records_say,
        "quota": one.row.granted_value,
        "units": one.row.units,
        "amount_minor": one.row.amount_minor,
        "computed_minor": one.computed_minor,
        "at_stripe_minor": one.at_stripe_minor,
        "inputs_sha256": one.row.inputs_sha256,
        "problems": "; ".join(one.problems) or None,
    }


def recalculated_row(one: Recalculated) -> dict[str, object]:
    """Return what became of a period."""
    return {
        "metric": one.row.metric_type,
        "period_start": one.row.period_start,
        "period_end": one.row.period_end,
        "action": one.action,
        "status": one.row.status,
        "before_minor": one.before_minor,
        "after_minor": one.after_minor,
        "currency": one.row.currency or None,
        "detail": one.row.detail or None,
    }


def _priced(calculation: Calculation) -> dict[str, object]:
    charge = calculation.charge
    parts: list[dict[str, Any]] = []
    if charge is not None:
        parts = [
            {
                "what": part.what,
                "units": part.units,
                "unit_amount": f"{part.unit_amount:f}",
                "amount_minor": part.amount_minor,
            }
            for part in charge.parts
        ]
    return {
        "amount_minor": charge.amount_minor if charge else None,
        "currency": charge.currency if charge else None,
        "price": calculation.source or None,
        "parts": parts,
    }


def _in_words(parts: object) -> str | None:
    if not isinstance(parts, list):
        return None
    return " + ".join(_part(part) for part in parts) or None


def _part(part: Mapping[str, Any]) -> str:
    if not part["units"]:
        return f"{part['what']} {part['amount_minor']}"
    return f"{part['what']} {part['units']} x {part['unit_amount']} = {part['amount_minor']}"
