"""What went wrong lately, grouped by kind and reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_SQL = """
WITH stopped AS (
    SELECT 'event ' || status AS kind, type AS subject, reason, event_id AS example, detail,
           coalesce(finished_at, received_at) AS at
    FROM billing.billing_webhook_events WHERE stopped
    UNION ALL
    SELECT 'effect ' || status, kind, split_part(detail, ':', 1), id::text, detail, coalesce(finished_at, created_at)
    FROM billing.billing_effects WHERE status IN ('failed', 'unknown')
    UNION ALL
    SELECT 'intent ' || status, operation, coalesce(error_code, split_part(detail, ':', 1)), id::text, detail,
           coalesce(finished_at, last_called_at, created_at)
    -- a change that was refused was refused to an operator's face, and waits for nobody
    FROM billing.billing_intents WHERE status = 'parked' OR (status = 'failed' AND intent_key NOT LIKE 'change:%')
    UNION ALL
    SELECT 'run failed', job, split_part(detail, ':', 1), to_char(due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"'),
           detail, coalesce(finished_at, due_at)
    FROM billing.billing_schedule_runs WHERE status = 'failed'
    UNION ALL
    SELECT 'reconciliation ' || status, started_by, split_part(detail, ':', 1), id::text, detail,
           coalesce(finished_at, started_at)
    FROM billing.billing_reconciliation_runs WHERE status IN ('failed', 'incomplete')
)
SELECT kind, subject, reason, count(*), max(at), (array_agg(example ORDER BY at DESC))[1],
       (array_agg(detail ORDER BY at DESC))[1]
FROM stopped WHERE at >= :since
GROUP BY kind, subject, reason ORDER BY count(*) DESC, kind, subject, reason
LIMIT :limit
"""

_ADVICE = {
    "event failed": "mend the cause, then `nself billing webhook replay {example}`, or `replay --status failed`",
    "event quarantined": "its body is kept; once the reason is mended, `nself billing webhook replay {example}`",
    "effect failed": (
        "mend the cause, then `nself db query \"UPDATE billing_effects SET status = 'pending', attempts = 0, "
        'next_attempt_at = clock_timestamp() WHERE id = {example}" --write --reason TEXT`'
    ),
    "effect unknown": "it may have happened: look at the receiver's side before anything is done again",
    "intent failed": "Stripe refused the call for good: correct what its message names and start the operation anew",
    "intent parked": (
        "whether it happened could not be proved: search Stripe for metadata nself_intent {example}, then "
        "`nself billing intent resolve {example}`"
    ),
    "run failed": "`nself billing jobs list --status failed` has the reports; the next slot runs all the same",
    "reconciliation failed": "`nself billing reconcile --resume` goes on where it stopped",
    "reconciliation incomplete": "`nself billing reconcile --resume` goes on where it stopped",
}


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors of one kind, about one sort of thing, for one reason; `example` and `detail` are the newest's."""

    kind: str
    subject: str
    reason: str
    count: int
    newest_at: datetime
    example: str
    detail: str
    advice: str


def list_error_groups(session: Session, *, since: datetime, limit: int) -> list[ErrorGroup]:
    """Return what stopped since an instant and waits for a person, the most frequent first."""
    rows = session.execute(text(_SQL), {"since": since, "limit": limit})
    return [
        ErrorGroup(kind, subject, reason, count, newest, example, detail, _ADVICE[kind].format(example=example))
        for kind, subject, reason, count, newest, example, detail in rows
    ]
