"""The account's balance: what is available and what is still on its way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.session import Session


def account_balance(session: Session) -> Document:
    """Add up every line of the balance."""
    available: dict[str, int] = defaultdict(int)
    pending: dict[str, int] = defaultdict(int)
    for entry in _entries(session):
        part = available if entry["available_on"] <= session.now else pending
        part[entry["currency"]] += entry["net"]
    currencies = sorted({*available, *pending}) or ["usd"]
    return {
        "object": "balance",
        "available": [_part(currency, available[currency]) for currency in currencies],
        "connect_reserved": [{"amount": 0, "currency": currency} for currency in currencies],
        "livemode": False,
        "pending": [_part(currency, pending[currency]) for currency in currencies],
    }


def check_funds(session: Session, amount_minor: int, currency: str) -> None:
    """Refuse to move more than is available.

    Raises: ApiError balance_insufficient.
    """
    parts = account_balance(session)["available"]
    available = next((part["amount"] for part in parts if part["currency"] == currency), 0)
    if amount_minor > available:
        raise ApiError(
            "You have insufficient available funds in your Stripe account. Try adding funds directly to your available "
            "balance by creating Charges using the 4000000000000077 test card.",
            code="balance_insufficient",
        )


def _entries(session: Session) -> Iterator[Document]:
    staged = {key: document for (kind, key), document in session.changed.items() if kind == "balance_transaction"}
    yield from staged.values()
    yield from (entry for entry in session.store.newest_first("balance_transaction") if entry["id"] not in staged)


def _part(currency: str, amount_minor: int) -> Document:
    return {"amount": amount_minor, "currency": currency, "source_types": {"card": amount_minor}}
