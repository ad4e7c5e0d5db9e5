"""Make one change at Stripe for an operator, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from billing_worker.changes.change import Change, Changed, ChangeDeclined, ChangeRefused, ChangeUnsettled, StripeAway
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.hints import hint_at_next
from billing_worker.changes.services.await_mirror import await_mirror
from billing_worker.changes.services.store_change import store_change
from billing_worker.changes.services.withdraw_intent import withdraw_intent
from billing_worker.effects.intents import IntentOutcome, IntentStatus
from billing_worker.effects.services.run_intent import run_intent
from billing_worker.kernel.errors import NotFoundError, RetryableError, TerminalError
from billing_worker.stripe_gateway.operations import Operation, operation_named


def make_change(
    door: ChangeDoor, change: Change, *, guard: Callable[[Session], None] = lambda _session: None
) -> Changed:
    """Make a change at Stripe and return what Stripe answered, as soon as the mirror has it.

    Shape: `guard` refuses by raising what rows forbid; it sees them in the transaction that stores the intent.
    Phases: intent stored, commit; call; outcome and snapshot stored, commit; the snapshot's lane drained. Whoever dies
    in between leaves an intent that the rescue, or the same command again, brings to its end.
    Raises: ChangeRefused, ChangeDeclined, NotFoundError (nothing was changed); StripeAway (nothing was changed, repeat
    it); ChangeUnsettled, IntentBusyError (it goes on without this command).
    """
    operation = operation_named(change.operation)
    if door.is_dry_run:
        with door.unit_of_work.transaction() as session:
            guard(session)
        path = operation.path.format(**change.path_ids)
        return Changed(data=change.parameters, would_call=f"{operation.method.upper()} {path}")
    with door.unit_of_work.transaction() as session:
        guard(session)
        now = door.unit_of_work.now()
        intent_id = store_change(session, change, switches=door.board.read(session), now=now)
    outcome = run_intent(door.unit_of_work, door.gateway, intent_id, board=door.board, sink=door.sink)
    if outcome.status is not IntentStatus.SUCCEEDED:
        raise _failure(door, change, intent_id, outcome)
    mirrored = await_mirror(door, outcome.snapshot_row_id)
    data = outcome.data or _read_again(door, operation, outcome.stripe_id)
    return Changed(outcome.stripe_id, data, intent_id, mirrored)


def _read_again(door: ChangeDoor, operation: Operation, stripe_id: str | None) -> Mapping[str, Any]:
    """Read an object whose creation was finished by somebody else; the change itself is done in any case."""
    try:
        return {} if stripe_id is None else door.gateway.retrieve(operation.answers, stripe_id).data
    except (RetryableError, TerminalError):
        return {"id": stripe_id, "object": operation.answers}


def _failure(door: ChangeDoor, change: Change, intent_id: UUID, outcome: IntentOutcome) -> Exception:
    if outcome.status is IntentStatus.DECLINED:
        return ChangeDeclined(outcome.detail, decline_code=outcome.decline_code, stripe_id=outcome.stripe_id)
    if outcome.status is IntentStatus.FAILED:
        family = NotFoundError if outcome.error_code == "resource_missing" else ChangeRefused
        return family(outcome.detail + hint_at_next(outcome.detail))
    if outcome.status is IntentStatus.PARKED:
        return ChangeRefused(
            f"{change.operation}: {outcome.detail}; look at Stripe, then `nself billing intent resolve {intent_id}`"
        )
    if outcome.never_happened and withdraw_intent(door.unit_of_work, intent_id, why=outcome.detail):
        said = f"{outcome.detail}; nothing was changed, repeat the command later"
        return (ChangeRefused if outcome.status is IntentStatus.PENDING else StripeAway)(said)
    return ChangeUnsettled(
        f"{outcome.detail}; whether it happened is not known yet, workers find out under the same key: "
        f"`nself billing intent show {intent_id}`"
    )
