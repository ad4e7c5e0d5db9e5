"""Carry out an intent at Stripe, exactly once, whatever crashes in between."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.effects.intents import LEASE_MARGIN, IntentOutcome, IntentStatus, SnapshotSink
from billing_worker.effects.services.begin_intent import CallPlan, begin_intent
from billing_worker.effects.services.finish_intent import finish_intent, status_of_error
from billing_worker.effects.services.look_up_intent import Proof, look_up_intent
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.client import Retrieved, StripeGateway
from billing_worker.stripe_gateway.errors import OutcomeUnknown, RateLimited, StripeUnavailable
from billing_worker.switches.board import SwitchBoard

Result = Retrieved | Proof | Exception


def run_intent(
    unit_of_work: UnitOfWork, gateway: StripeGateway, intent_id: UUID, *, board: SwitchBoard, sink: SnapshotSink
) -> IntentOutcome:
    """Call Stripe for one intent and tell where it stands; an intent that has ended is only told.

    Phases: (a) lease, key and time of the first call committed; (b) the call, without any transaction; (c) the outcome
    and the returned object committed. After a crash: under 23 hours the same key again; later, or when Stripe replays a
    stored 5xx, the call is looked up there and adopted, repeated under a new generation of the key, or parked.
    Idempotent by: the intent's key at Stripe and its status here.
    Raises: IntentBusyError while another worker is at it.
    """
    lease = gateway.longest_call + LEASE_MARGIN
    with unit_of_work.transaction() as session:
        begun = begin_intent(session, intent_id, board=board, lease=lease, now=unit_of_work.now())
    if isinstance(begun, IntentOutcome):
        return begun
    result = _prove_or_call(gateway, begun)
    if isinstance(result, Proof) and result.verdict == "absent":
        with unit_of_work.transaction() as session:
            renewed = begin_intent(
                session, intent_id, board=board, lease=lease, now=unit_of_work.now(), new_generation=True
            )
        if isinstance(renewed, IntentOutcome):
            return renewed
        begun = renewed
        result = _call(gateway, begun)
    return _store(unit_of_work, begun, result, sink)


def _prove_or_call(gateway: StripeGateway, plan: CallPlan) -> Result:
    if not plan.must_prove:
        result = _call(gateway, plan)
        if not (isinstance(result, OutcomeUnknown) and result.key_is_spent):
            return result
        # Stripe will repeat this 5xx for ever under this key, whether the call took effect or not.
    try:
        return look_up_intent(gateway, plan)
    except (RetryableError, TerminalError) as error:
        # The intent stays open, whatever the look-up failed with.
        return OutcomeUnknown(f"its outcome could not be looked up: {error}")


def _call(gateway: StripeGateway, plan: CallPlan) -> Retrieved | Exception:
    try:
        return gateway.call(
            plan.operation,
            plan.body,
            idempotency_key=plan.idempotency_key,
            path_ids=plan.path_ids,
            api_version=plan.api_version,
            account_id=plan.account_id,
            priority=plan.priority,
        )
    except (RetryableError, TerminalError) as error:
        return error


def _store(unit_of_work: UnitOfWork, plan: CallPlan, result: Result, sink: SnapshotSink) -> IntentOutcome:
    detail = ""
    if isinstance(result, Proof):
        if result.found is None:
            status, detail = IntentStatus.PARKED, f"unproven: {result.why}"
        else:
            status, detail = IntentStatus.SUCCEEDED, "adopted: found at Stripe"
        answer: Retrieved | Exception = result.found or TerminalError(detail)
    else:
        answer = result
        status = IntentStatus.SUCCEEDED if isinstance(result, Retrieved) else status_of_error(result)
    with unit_of_work.transaction() as session:
        outcome = finish_intent(session, plan, answer, status=status, detail=detail, sink=sink, now=unit_of_work.now())
    unheard = plan.is_first and isinstance(answer, RateLimited | StripeUnavailable)
    return replace(outcome, never_happened=True) if unheard and outcome.status is IntentStatus.CALLING else outcome
