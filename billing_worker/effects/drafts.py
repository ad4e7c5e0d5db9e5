"""Insert-only rows that the drain writes: effects, once per key for ever, and dirty marks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from billing_worker.kernel.events import DirtyDraft, EffectDraft


@dataclass(frozen=True, slots=True)
class EffectOfEvent:
    """An effect together with the event that called for it, if one did."""

    account_id: str
    event_row_id: int | None
    draft: EffectDraft


_INSERT_EFFECTS = text(
    """
    INSERT INTO billing.billing_effects
        (account_id, effect_key, kind, object_key, customer_id, event_row_id, payload, not_after, status, detail,
         next_attempt_at, created_at, finished_at)
    SELECT d.account_id, d.effect_key, d.kind, d.object_key, d.customer_id, d.event_row_id, d.payload::jsonb,
           d.not_after,
           CASE WHEN d.not_after < :now THEN 'skipped' ELSE 'pending' END,
           CASE WHEN d.not_after < :now THEN 'came after its time' ELSE '' END,
           :now, :now, CASE WHEN d.not_after < :now THEN CAST(:now AS timestamptz) END
    FROM unnest(CAST(:account_id AS text[]), CAST(:effect_key AS text[]), CAST(:kind AS text[]),
                CAST(:object_key AS text[]), CAST(:customer_id AS text[]), CAST(:event_row_id AS bigint[]),
                CAST(:payload AS text[]), CAST(:not_after AS timestamptz[]))
         AS d (account_id, effect_key, kind, object_key, customer_id, event_row_id, payload, not_after)
    ON CONFLICT (account_id, effect_key) DO NOTHING
    """
)

_INSERT_MARKS = text(
    """
    INSERT INTO billing.billing_dirty_marks (account_id, kind, subject_id, marked_at)
    SELECT m.account_id, m.kind, m.subject_id, :now
    FROM unnest(CAST(:account_id AS text[]), CAST(:kind AS text[]), CAST(:subject_id AS text[]))
         AS m (account_id, kind, subject_id)
    """
)


def insert_effects(session: Session, effects: Sequence[EffectOfEvent], now: datetime) -> int:
    """Write the effects that are not there yet and return how many were new.

    Idempotent by: account and effect key. Order: by key, so that two lanes never wait for each other in a circle.
    """
    if not effects:
        return 0
    ordered = sorted(effects, key=lambda effect: (effect.account_id, effect.draft.key, effect.event_row_id or 0))
    drafts = [effect.draft for effect in ordered]
    result = cast(
        "CursorResult[Any]",
        session.execute(
            _INSERT_EFFECTS,
            {
                "now": now,
                "account_id": [effect.account_id for effect in ordered],
                "event_row_id": [effect.event_row_id for effect in ordered],
                "effect_key": [draft.key for draft in drafts],
                "kind": [draft.kind for draft in drafts],
                "object_key": [draft.object_key for draft in drafts],
                "customer_id": [draft.customer_id for draft in drafts],
                "payload": [json.dumps(draft.payload) for draft in drafts],
                "not_after": [draft.not_after for draft in drafts],
            },
        ),
    )
    return result.rowcount


def insert_marks(session: Session, marks: set[tuple[str, DirtyDraft]], now: datetime) -> None:
    """Note the subjects whose derived state must be recomputed; insert-only, so nothing is locked."""
    if not marks:
        return
    ordered = sorted(marks)
    session.execute(
        _INSERT_MARKS,
        {
            "now": now,
            "account_id": [account_id for account_id, _ in ordered],
            "kind": [mark.kind for _, mark in ordered],
            "subject_id": [mark.subject_id for _, mark in ordered],
        },
    )
