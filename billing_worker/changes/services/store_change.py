"""Phase one of a change: its intent, or why it cannot be made now."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from billing_worker.changes.change import Change, ChangeRefused
from billing_worker.changes.queries import list_ended
from billing_worker.effects.intents import IntentConflictError, IntentStatus
from billing_worker.effects.services.create_intent import create_intent
from billing_worker.stripe_gateway.operations import operation_named
from billing_worker.switches.states import Switches


def store_change(session: Session, change: Change, *, switches: Switches, now: datetime) -> UUID:
    """Store the intent of a change and return its id; an equal one that is still under way is taken up again.

    Idempotent by: operation, what it is about, and how many such changes have ended: two operators at once, or one who
    repeats a command that was killed, make one change.
    Raises: ChangeRefused while maintenance or safe mode forbids it, while another change of the kind is under way, and
    after one that nobody could prove.
    """
    _check_switches(change, switches)
    ended = list_ended(session, change)
    for intent in ended:
        if intent.status is IntentStatus.PARKED:
            raise ChangeRefused(
                f"an earlier {change.operation} about {change.parent_key} could be proved neither way: look at Stripe, "
                f"then `nself billing intent resolve {intent.id}`"
            )
    key = f"change:{change.operation}:{change.parent_key}:{len(ended) + 1}"
    try:
        return create_intent(
            session,
            account_id=change.account_id,
            intent_key=key,
            operation=change.operation,
            parameters=change.parameters,
            path_ids=change.path_ids,
            customer_id=change.customer_id,
            parent_key=change.parent_key,
            priority="interactive",
            now=now,
        )
    except IntentConflictError:
        raise ChangeRefused(
            f"another {change.operation} about {change.parent_key} is under way, with other values: "
            "`nself billing intent list` shows it; repeat this when it has ended"
        ) from None


def _check_switches(change: Change, switches: Switches) -> None:
    if switches.maintenance:
        raise ChangeRefused("maintenance is on and nothing is changed: `nself maintenance off` ends it")
    why = switches.why_money_is_held(automatic=False)
    if why is not None and operation_named(change.operation).moves_money:
        raise ChangeRefused(f"{why}: `nself env set BILLING_SAFE_MODE=false` ends it")
