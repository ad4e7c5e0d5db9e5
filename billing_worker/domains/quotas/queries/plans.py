"""SQL of plans' quotas: terms per price, and the users whose subscriptions have these prices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.domains.quotas.queries.periods import TERMS, terms_of
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.states import PLAN_MARK

# The prices of every living subscription of a linked customer.
_SUBSCRIBED = """
    SELECT DISTINCT u.user_id, item -> 'price' ->> 'id' AS price_id
    FROM billing.billing_customer_users u
    JOIN billing.billing_subscriptions s USING (account_id, customer_id)
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(s.data #> '{items,data}', '[]'::jsonb)) AS item
    WHERE s.deleted_at IS NULL AND s.status IN ('active', 'trialing', 'past_due', 'unpaid')
"""

_WANTED = f"""
WITH subscribed AS ({_SUBSCRIBED})
SELECT {TERMS}, s.user_id AS subscriber, q.price_id
FROM subscribed s JOIN billing.billing_quotas q ON q.price_id = s.price_id
WHERE s.user_id = ANY(:users)
  AND NOT EXISTS (SELECT 1 FROM billing.billing_quotas own WHERE own.user_id = s.user_id
                  AND own.metric_type = q.metric_type AND own.from_price_id IS NULL)
ORDER BY s.user_id, q.metric_type, q.limit_value DESC, q.price_id
"""  # noqa: S608 - constants

_DIFFERENT = f"""
WITH subscribed AS ({_SUBSCRIBED}), wanted AS (
    SELECT DISTINCT ON (s.user_id, q.metric_type) s.user_id, q.* FROM subscribed s
    JOIN (SELECT price_id, metric_type, period, limit_value, enforcement, fail_mode, alert_at_percent, rollover, settles
          FROM billing.billing_quotas WHERE price_id IS NOT NULL) q USING (price_id)
    ORDER BY s.user_id, q.metric_type, q.limit_value DESC, q.price_id
), derived AS (
    SELECT q.*, EXISTS (SELECT 1 FROM billing.billing_quota_periods p
                        WHERE p.quota_id = q.id AND p.status = 'open') AS is_open
    FROM billing.billing_quotas q WHERE q.user_id IS NOT NULL
)
SELECT w.user_id FROM wanted w LEFT JOIN derived d USING (user_id, metric_type)
WHERE d.id IS NULL OR (d.from_price_id IS NOT NULL AND (NOT d.is_open OR
    (d.from_price_id, d.period, d.limit_value, d.enforcement, d.fail_mode, d.alert_at_percent, d.rollover, d.settles)
    IS DISTINCT FROM
    (w.price_id, w.period, w.limit_value, w.enforcement, w.fail_mode, w.alert_at_percent, w.rollover, w.settles)))
UNION
SELECT d.user_id FROM derived d LEFT JOIN wanted w USING (user_id, metric_type)
WHERE d.from_price_id IS NOT NULL AND d.is_open AND w.user_id IS NULL
  AND EXISTS (SELECT 1 FROM subscribed s WHERE s.user_id = d.user_id)
ORDER BY 1 LIMIT :limit
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class DerivedQuota:
    """A user's quota that was made from a plan's and has an open period."""

    quota_id: int
    terms: QuotaTerms


def save_plan_quota(session: Session, price_id: str, terms: QuotaTerms, *, set_by: str, now: datetime) -> int:
    """Insert or change the quota of a price and return its id."""
    statement = text(
        "INSERT INTO billing.billing_quotas (price_id, metric_type, period, limit_value, enforcement, rollover, "
        "fail_mode, alert_at_percent, settles, set_at, set_by) VALUES (:price_id, :metric_type, :period, "
        ":limit_value, :enforcement, :rollover, :fail_mode, CAST(:alert_at_percent AS smallint[]), :settles, :now, "
        ":set_by) ON CONFLICT (user_id, price_id, metric_type) DO UPDATE SET period = EXCLUDED.period, "
        "limit_value = EXCLUDED.limit_value, enforcement = EXCLUDED.enforcement, rollover = EXCLUDED.rollover, "
        "fail_mode = EXCLUDED.fail_mode, alert_at_percent = EXCLUDED.alert_at_percent, settles = EXCLUDED.settles, "
        "set_at = EXCLUDED.set_at, set_by = EXCLUDED.set_by RETURNING id"
    )
    parameters = {
        "price_id": price_id,
        "metric_type": terms.metric_type,
        "period": terms.kind.value,
        "limit_value": terms.limit_value,
        "enforcement": terms.enforcement.value,
        "rollover": terms.rollover,
        "fail_mode": terms.fail_mode.value,
        "alert_at_percent": sorted(terms.alert_at_percent),
        "settles": terms.settles,
        "now": now,
        "set_by": set_by,
    }
    return int(session.execute(statement, parameters).scalar_one())


def list_wanted_terms(session: Session, user_ids: Collection[str]) -> dict[tuple[str, str], QuotaTerms]:
    """Return what plans grant some users, by user and metric: of several prices the largest limit; without anchors."""
    wanted: dict[tuple[str, str], QuotaTerms] = {}
    for row in session.execute(text(_WANTED), {"users": sorted(user_ids)}).mappings():
        terms = replace(terms_of(row), user_id=row["subscriber"], from_price_id=row["price_id"])
        wanted.setdefault((terms.user_id, terms.metric_type), terms)
    return wanted


def list_derived_quotas(session: Session, user_ids: Collection[str]) -> list[DerivedQuota]:
    """Lock and return the quotas of some users that come from plans and have an open period."""
    statement = text(
        f"SELECT q.id, {TERMS} FROM billing.billing_quotas q "  # noqa: S608 - constants
        "WHERE q.user_id = ANY(:users) AND q.from_price_id IS NOT NULL AND EXISTS (SELECT 1 "
        "FROM billing.billing_quota_periods p WHERE p.quota_id = q.id AND p.status = 'open') ORDER BY q.id FOR UPDATE"
    )
    rows = session.execute(statement, {"users": sorted(user_ids)}).mappings()
    return [DerivedQuota(row["id"], terms_of(row)) for row in rows]


def list_subscribers(session: Session, user_ids: Collection[str]) -> set[str]:
    """Return which of some users have a living subscription."""
    statement = text(f"SELECT DISTINCT user_id FROM ({_SUBSCRIBED}) s WHERE user_id = ANY(:users)")  # noqa: S608
    return set(session.execute(statement, {"users": sorted(user_ids)}).scalars())


def list_users_to_apply(session: Session, *, limit: int) -> Sequence[str]:
    """Return users whose quotas are not what their plans grant."""
    return list(session.execute(text(_DIFFERENT), {"limit": limit}).scalars())


def claim_marked_users(session: Session, *, limit: int) -> tuple[int, set[str]]:
    """Take marks away; return how many, and the users linked to the marked customers."""
    statement = text(
        "WITH taken AS (DELETE FROM billing.billing_dirty_marks WHERE id IN (SELECT id "
        "FROM billing.billing_dirty_marks WHERE kind = :kind ORDER BY account_id, subject_id, id LIMIT :limit "
        "FOR UPDATE SKIP LOCKED) RETURNING account_id, subject_id) "
        "SELECT u.user_id FROM taken t LEFT JOIN billing.billing_customer_users u "
        "ON (u.account_id, u.customer_id) = (t.account_id, t.subject_id)"
    )
    users = list(session.execute(statement, {"kind": PLAN_MARK, "limit": limit}).scalars())
    return len(users), {user for user in users if user is not None}


def count_plan_marks(session: Session, *, limit: int) -> int:
    """Count marks that wait, up to a limit."""
    statement = text(
        "SELECT count(*) FROM (SELECT 1 FROM billing.billing_dirty_marks WHERE kind = :kind LIMIT :limit) AS waiting"
    )
    return int(session.execute(statement, {"kind": PLAN_MARK, "limit": limit}).scalar_one())
