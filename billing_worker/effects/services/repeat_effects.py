"""Have effects that already happened happen once more, each under a key of its own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

REPEATED = "#replay"
"""What tells a repetition's key from the key of what happened; a number follows."""

_REPEAT = text(
    """
    INSERT INTO billing.billing_effects
        (account_id, effect_key, kind, object_key, customer_id, event_row_id, payload, next_attempt_at, created_at)
    SELECT f.account_id,
           f.effect_key || :mark || (1 + (SELECT count(*) FROM billing.billing_effects r
               WHERE r.object_key = f.object_key AND r.account_id = f.account_id
                 AND starts_with(r.effect_key, f.effect_key || :mark))),
           f.kind, f.object_key, f.customer_id, f.event_row_id, f.payload, :now, :now
    FROM billing.billing_effects f
    WHERE (f.account_id, f.effect_key) IN
          (SELECT * FROM unnest(CAST(:accounts AS text[]), CAST(:keys AS text[])))
    ORDER BY f.account_id, f.effect_key
    ON CONFLICT (account_id, effect_key) DO NOTHING
    RETURNING effect_key
    """
)


def repeat_effects(session: Session, effects: Sequence[tuple[str, str]], *, now: datetime) -> list[str]:
    """Insert a repetition of each effect, given by account and key, and return the repetitions' keys.

    Shape: the first keeps its row and its outcome; the second time counts `#replay1`, the third `#replay2`. A
    repetition has no time after which it is no news: an operator wants it now.
    """
    given = {"accounts": [account for account, _ in effects], "keys": [key for _, key in effects]}
    return list(session.execute(_REPEAT, {**given, "mark": REPEATED, "now": now}).scalars())
