"""Monthly partitions, made ahead of need; a default partition catches what nobody foresaw."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.kernel.periods import add_months

MONTHS_AHEAD = 3
PARTITIONED_BY_MONTH = ("billing_webhook_payloads", "billing_usage")


def ensure_partitions(session: Session, now: datetime) -> list[str]:
    """Make the partitions of last month, this month and the next three; return the names of new ones.

    A month whose rows already lie in the default partition stays there: moving them is a maintenance action.
    """
    first = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    months = [add_months(first, step) for step in range(-1, MONTHS_AHEAD + 1)]
    return [
        name
        for table in PARTITIONED_BY_MONTH
        for month in months
        if (name := _ensure_month(session, table, month)) is not None
    ]


def _ensure_month(session: Session, table: str, month: datetime) -> str | None:
    name = f"{table}_{month:%Y_%m}"
    exists = session.execute(text("SELECT to_regclass(:name)"), {"name": f"billing.{name}"}).scalar_one()
    if exists is not None or _default_has_rows(session, table, month):
        return None
    session.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS billing.{name} PARTITION OF billing.{table} "
            f"FOR VALUES FROM ('{month.isoformat()}') TO ('{add_months(month, 1).isoformat()}')"
        )
    )
    return name


def _default_has_rows(session: Session, table: str, month: datetime) -> bool:
    column = "received_at" if table == "billing_webhook_payloads" else "created_at"
    statement = text(
        f"SELECT EXISTS (SELECT 1 FROM billing.{table}_default WHERE {column} >= :start AND {column} < :end)"  # noqa: S608 - names are constants of this module
    )
    return bool(session.execute(statement, {"start": month, "end": add_months(month, 1)}).scalar_one())
