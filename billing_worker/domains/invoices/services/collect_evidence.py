"""Gather what an invoice is audited against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from billing_worker.domains.invoices.lines import list_lines, subscription_of
from billing_worker.domains.invoices.queries import find_user_of, sum_payments
from billing_worker.domains.invoices.rules import Evidence
from billing_worker.domains.subscriptions.previews import PreviewLine, prices_without_amount, read_line
from billing_worker.domains.usage.rules import MetricCatalog, UsageSpan
from billing_worker.domains.usage.services.measure_usage import measure_usage
from billing_worker.kernel.periods import Period
from billing_worker.mirror.objects import find_object


def collect_evidence(
    session: Session,
    invoice: Mapping[str, Any],
    *,
    metrics: MetricCatalog,
    zone: ZoneInfo,
    minimum_charge_minor: int,
) -> Evidence:
    """Return subscription, payments and metered usage behind an invoice, all from our own rows."""
    subscription_id = subscription_of(invoice)
    metered = _metered_lines(session, invoice, metrics)
    user_id = find_user_of(session, str(invoice.get("customer"))) if metered else None
    usage: dict[str, int] = {}
    if user_id is not None:
        spans = [UsageSpan(user_id, metric, Period(read.starts_at, read.ends_at)) for _, metric, read in metered]
        measured = measure_usage(session, spans, metrics=metrics, zone=zone)
        usage = {line_id: found.value for (line_id, _, _), found in zip(metered, measured, strict=True)}
    return Evidence(
        subscription=None if subscription_id is None else _find_data(session, "subscription", subscription_id),
        paid_minor=sum_payments(session, str(invoice["id"])),
        usage=usage,
        unit_amounts={
            price_id: (_find_data(session, "price", price_id) or {}).get("unit_amount_decimal")
            for price_id in prices_without_amount([invoice])
        },
        minimum_charge_minor=minimum_charge_minor,
    )


def _metered_lines(
    session: Session, invoice: Mapping[str, Any], metrics: MetricCatalog
) -> list[tuple[str, str, PreviewLine]]:
    """Return line id, metric and line for those whose price has a meter whose event is one of our metrics."""
    found = []
    for line in list_lines(invoice):
        read = read_line(line)
        price = _find_data(session, "price", read.price_id) if read.price_id else None
        meter_id = ((price or {}).get("recurring") or {}).get("meter")
        meter = _find_data(session, "billing.meter", meter_id) if meter_id else None
        metric = str((meter or {}).get("event_name"))
        if metric in metrics:
            found.append((str(line.get("id")), metric, read))
    return found


def _find_data(session: Session, object_type: str, object_id: str) -> Mapping[str, Any] | None:
    found = find_object(session, object_type, object_id)
    return None if found is None else found.data
