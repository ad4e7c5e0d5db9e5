"""SQL that finds the subscription a quota follows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class SubscriptionRhythm:
    """A subscription's anchor and the recurring interval of its price, as the mirror has them."""

    subscription_id: str
    anchor_at: datetime | None
    interval: str | None
    interval_count: int | None


def find_subscription_rhythm(session: Session, user_id: str) -> SubscriptionRhythm | None:
    """Return the newest living subscription of the customer a user is linked to."""
    statement = text(
        "SELECT s.id, s.billing_cycle_anchor, "
        "coalesce(s.data #>> '{items,data,0,price,recurring,interval}', p.recurring_interval), "
        "coalesce(s.data #>> '{items,data,0,price,recurring,interval_count}', "
        "         p.data #>> '{recurring,interval_count}', '1')::integer "
        "FROM billing.billing_customer_users u "
        "JOIN billing.billing_subscriptions s USING (account_id, customer_id) "
        "LEFT JOIN billing.billing_prices p ON p.account_id = s.account_id AND p.id = s.price_id "
        "WHERE u.user_id = :user_id AND s.deleted_at IS NULL "
        "AND s.status IN ('active', 'trialing', 'past_due', 'unpaid') "
        "ORDER BY s.billing_cycle_anchor DESC NULLS LAST, s.id LIMIT 1"
    )
    row = session.execute(statement, {"user_id": user_id}).one_or_none()
    return None if row is None else SubscriptionRhythm(*row)


def find_customers_of_users(session: Session, user_ids: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return account and customer of the users that are linked to one; of several the first by id."""
    statement = text(
        "SELECT DISTINCT ON (user_id) user_id, account_id, customer_id FROM billing.billing_customer_users "
        "WHERE user_id = ANY(:user_ids) ORDER BY user_id, account_id, customer_id"
    )
    rows = session.execute(statement, {"user_ids": sorted(user_ids)})
    return {user_id: (account_id, customer_id) for user_id, account_id, customer_id in rows}
