"""Say, as an operator who has looked at Stripe, what became of a parked intent."""

from __future__ import annotations

from uuid import UUID

from billing_worker.changes.change import Changed, ChangeRefused, Verdict
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.queries import get_intent
from billing_worker.changes.services.await_mirror import await_mirror
from billing_worker.effects.intents import Intent, IntentStatus, idempotency_key_of
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.operations import operation_named


def resolve_intent(door: ChangeDoor, intent_id: UUID, *, verdict: Verdict, object_id: str | None = None) -> Changed:
    """End a parked intent: adopt the object that shows that it happened, give it up, or call Stripe once more.

    Phases: for `happened` the object is read at Stripe first; then the row, commit; for `again` the call under a new
    generation of the key.
    Raises: ChangeRefused for an intent that is not parked, or an object of another type or of another intent.
    """
    with door.unit_of_work.transaction() as session:
        intent = get_intent(session, intent_id)
        _require_parked(intent)
    answers = operation_named(intent.operation).answers
    found = None
    if verdict is Verdict.HAPPENED:
        found = door.gateway.retrieve(answers, object_id or "", account_id=intent.account_id)
        _require_fit(intent, found)
    row_id = _store(door, intent_id, verdict, found)
    if verdict is Verdict.AGAIN:
        outcome = run_intent(door.unit_of_work, door.gateway, intent_id, board=door.board, sink=door.sink)
        mirrored = await_mirror(door, outcome.snapshot_row_id)
        return Changed(outcome.stripe_id, outcome.data, intent_id, mirrored)
    return Changed(object_id, found.data if found else {}, intent_id, await_mirror(door, row_id))


def _store(door: ChangeDoor, intent_id: UUID, verdict: Verdict, found: Retrieved | None) -> int | None:
    with door.unit_of_work.transaction() as session:
        intent = get_intent(session, intent_id, locked=True)
        _require_parked(intent)
        now = door.unit_of_work.now()
        if verdict is Verdict.AGAIN:
            intent.status, intent.finished_at, intent.attempts = IntentStatus.PENDING, None, 0
            intent.generation += 1
            intent.idempotency_key = idempotency_key_of(intent.id, intent.generation)
            intent.first_called_at, intent.next_attempt_at, intent.detail = None, now, "called again by an operator"
            return None
        intent.finished_at = now
        if found is None:
            intent.status, intent.detail = IntentStatus.FAILED, "an operator found that it never happened"
            return None
        intent.status, intent.detail = IntentStatus.SUCCEEDED, "adopted: found by an operator"
        intent.stripe_id = found.data.get("id")
        intent.response = {name: found.data[name] for name in ("id", "object", "status") if name in found.data}
        return door.sink(session, account_id=intent.account_id, obj=found.data, observed_at=found.observed_at, now=now)


def _require_parked(intent: Intent) -> None:
    if intent.status is not IntentStatus.PARKED:
        raise ChangeRefused(f"intent {intent.id} is {intent.status}, not parked: it needs no operator")


def _require_fit(intent: Intent, found: Retrieved) -> None:
    operation = operation_named(intent.operation)
    mark = (found.data.get("metadata") or {}).get("nself_intent")
    if operation.takes_metadata and mark != str(intent.id):
        raise ChangeRefused(
            f"{found.data.get('id')} was made by {f'intent {mark}' if mark else 'somebody else'}, not by {intent.id}: "
            "name the object that carries its mark in metadata.nself_intent"
        )
    target = intent.parameters["path"].get("id")
    if target is not None and found.data.get("id") != target:
        raise ChangeRefused(f"this intent is about {target}, not about {found.data.get('id')}")
