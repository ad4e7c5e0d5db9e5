"""Payouts to the bank and top-ups from it."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import Call, route
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.balance import book
from billing_worker.sandbox.engine.funds import check_funds

_ARRIVES_AFTER_SECONDS = 2 * 86_400
"""Source: Stripe documentation, “Payouts”: two business days in the US."""


def _pay_out(call: Call, payout: Document) -> None:
    session, amount, currency = call.session, call.params["amount"], call.params["currency"].lower()
    check_funds(session, amount, currency)
    payout |= {
        "amount": amount,
        "currency": currency,
        "arrival_date": session.now + _ARRIVES_AFTER_SECONDS,
        "destination": payout["destination"] or f"ba_{token(24)}",
    }
    payout["balance_transaction"] = book(session, payout, kind="payout", amount_minor=-amount)["id"]


def _give_back(call: Call, payout: Document) -> None:
    payout["status"] = "canceled"
    entry = book(call.session, payout, kind="payout_cancel", amount_minor=payout["amount"])
    payout["failure_balance_transaction"] = entry["id"]


PAYOUTS = Resource(
    kind="payout",
    url="/v1/payouts",
    blank={
        "application_fee": None,
        "application_fee_amount": None,
        "automatic": False,
        "balance_transaction": None,
        "description": None,
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": {"status": "pending", "value": None},
        "type": "bank_account",
    },
    event="payout.created",
    fields="description destination method source_type statement_descriptor",
    takes="amount currency",
    filters="status destination",
    prepare=_pay_out,
)


def _arrive(session: Session, payout: Document) -> None:
    payout |= {"status": "paid", "trace_id": {"status": "unsupported", "value": None}}
    session.tell("payout.paid", payout)


def _top_up(call: Call, topup: Document) -> None:
    amount, currency = call.params["amount"], call.params["currency"].lower()
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", param="amount")
    topup |= {
        "amount": amount,
        "currency": currency,
        "expected_availability_date": call.session.now + _ARRIVES_AFTER_SECONDS,
    }


def _cancel_topup(_: Call, topup: Document) -> None:
    topup["status"] = "canceled"


TOPUPS = Resource(
    kind="topup",
    url="/v1/topups",
    blank={
        "balance_transaction": None,
        "description": None,
        "failure_code": None,
        "failure_message": None,
        "source": None,
        "statement_descriptor": None,
        "status": "pending",
        "transfer_group": None,
    },
    event="topup.created",
    fields="description statement_descriptor transfer_group",
    changeable="description",
    takes="amount currency",
    filters="status",
    prepare=_top_up,
)


def _succeed(session: Session, topup: Document) -> None:
    topup["status"] = "succeeded"
    entry = book(session, topup, kind="topup", amount_minor=topup["amount"])
    topup["balance_transaction"] = entry["id"]
    session.tell("topup.succeeded", topup)


def _when_pending(name: str) -> Duty:
    def due_at(document: Document) -> int | None:
        due: int | None = document[name] if document["status"] == "pending" else None
        return due

    return Duty(due_at, _arrive if name == "arrival_date" else _succeed)


PAYOUT_DUTIES = {
    "payout": _when_pending("arrival_date"),
    "topup": _when_pending("expected_availability_date"),
}

_PENDING = frozenset({"pending"})
OPERATIONS = [
    *PAYOUTS.routes(),
    route("POST", "/v1/payouts/{payout}/cancel", action("payout", "payout.canceled", _give_back, allowed=_PENDING)),
    *TOPUPS.routes(),
    route("POST", "/v1/topups/{topup}/cancel", action("topup", "topup.canceled", _cancel_topup, allowed=_PENDING)),
]
