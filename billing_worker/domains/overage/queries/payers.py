"""What the mirror knows of who pays for a user, of overage prices, and of where their items go."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from billing_worker.domains.catalog.queries import list_prices
from billing_worker.domains.catalog.rules import KIND_KEY, METRIC_KEY, OVERAGE
from billing_worker.domains.overage.pricing import Payer, list_metered, list_products
from billing_worker.domains.quotas.queries.anchors import find_customers_of_users
from billing_worker.mirror.objects import MirroredObject, find_object
from billing_worker.mirror.tables import table_of

AT_MOST = 10_000
LIVING = ("active", "trialing", "past_due", "unpaid")

_SUBSCRIPTIONS = text(
    """
    SELECT s.customer_id, s.id, s.status, s.ended_at, s.data FROM billing.billing_subscriptions s
    WHERE s.account_id = '' AND s.customer_id = ANY(:customers) AND s.deleted_at IS NULL
    AND s.status NOT IN ('incomplete', 'incomplete_expired')
    ORDER BY s.customer_id, s.billing_cycle_anchor NULLS FIRST, s.id
    """
)


def list_payers(session: Session, user_ids: Collection[str]) -> dict[str, Payer]:
    """Return who pays for users; those without a customer are left out."""
    links = find_customers_of_users(session, user_ids)
    customers = table_of("customer")
    ids = sorted({customer_id for _, customer_id in links.values()})
    query = select(customers.c.id, customers.c.data["currency"].astext.label("currency")).where(
        customers.c.account_id == "", customers.c.id.in_(ids), customers.c.deleted_at.is_(None)
    )
    currencies = {row.id: row.currency for row in session.execute(query)}
    subscriptions: dict[str, list[dict[str, Any]]] = {customer_id: [] for customer_id in ids}
    for row in session.execute(_SUBSCRIPTIONS, {"customers": ids}).mappings():
        subscriptions[row["customer_id"]].append(dict(row))
    meters = table_of("billing.meter")
    names = {row.id: row.event_name for row in session.execute(select(meters.c.id, meters.c.event_name))}
    return {
        user_id: _payer(account_id, customer_id, currencies.get(customer_id), subscriptions[customer_id], names)
        for user_id, (account_id, customer_id) in links.items()
        if customer_id in currencies
    }


def _payer(
    account_id: str, customer_id: str, currency: str | None, rows: list[dict[str, Any]], names: dict[str, str]
) -> Payer:
    living = [row for row in rows if row["status"] in LIVING]
    newest = living[-1] if living else None
    return Payer(
        account_id,
        customer_id,
        currency=(newest["data"].get("currency") if newest else None) or currency,
        subscription_id=newest["id"] if newest else None,
        product_ids=frozenset().union(*(list_products(row["data"]) for row in living)),
        metered=list_metered([(row["data"], row["ended_at"]) for row in rows], names),
    )


def list_overage_prices(session: Session) -> list[tuple[str, MirroredObject]]:
    """Return the active prices that are marked as overage, with their metrics."""
    found = list_prices(session, only_overage=True, only_active=True, limit=AT_MOST)
    marks = [(price.data.get("metadata") or {}, price) for price in found]
    return [
        (str(metadata[METRIC_KEY]), price)
        for metadata, price in marks
        if metadata.get(KIND_KEY) == OVERAGE and metadata.get(METRIC_KEY)
    ]


def find_draft(session: Session, subscription_id: str) -> str | None:
    """Return the draft that renews a subscription, while the mirror has it."""
    invoices = table_of("invoice")
    query = (
        select(invoices.c.id)
        .where(
            invoices.c.account_id == "",
            invoices.c.subscription_id == subscription_id,
            invoices.c.status == "draft",
            invoices.c.billing_reason == "subscription_cycle",
            invoices.c.deleted_at.is_(None),
        )
        .order_by(invoices.c.invoiced_at.desc(), invoices.c.id)
    )
    return session.scalars(query.limit(1)).one_or_none()


def find_item(session: Session, item_id: str) -> MirroredObject | None:
    """Return an invoice item as the mirror has it."""
    return find_object(session, "invoiceitem", item_id)
