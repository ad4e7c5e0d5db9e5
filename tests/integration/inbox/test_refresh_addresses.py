"""A refresh never empties the list and never widens it in silence."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.addresses import shipped_addresses
from billing_worker.inbox.services.refresh_addresses import LARGEST_GROWTH, AddressChange, refresh_addresses
from billing_worker.kernel.errors import InvalidValueError, UnavailableError
from tests.support.deliveries import rows

SHIPPED = list(shipped_addresses().networks)


def refreshed(unit_of_work: UnitOfWork, networks: Sequence[str], *, accept: bool = False) -> AddressChange:
    return refresh_addresses(unit_of_work, lambda: json.dumps({"WEBHOOKS": networks}).encode(), accept=accept)


def stored(session: Session) -> list[tuple[object, ...]]:
    return rows(
        session, "SELECT status, cardinality(networks), added, removed FROM billing_stripe_addresses ORDER BY id"
    )


def test_small_changes_are_applied_and_told(unit_of_work: UnitOfWork, session: Session) -> None:
    assert refreshed(unit_of_work, SHIPPED).outcome == "unchanged"
    assert refreshed(unit_of_work, SHIPPED).outcome == "unchanged"
    with capture_logs() as logs:
        change = refreshed(unit_of_work, ["3.18.12.99", *SHIPPED[1:]])
    assert (change.outcome, change.added, change.removed) == ("applied", ("3.18.12.99/32",), (SHIPPED[0],))
    assert [(line["event"], line["outcome"]) for line in logs] == [("stripe_addresses_changed", "applied")]
    assert stored(session) == [
        ("retired", 12, [], []),
        ("active", 12, ["3.18.12.99/32"], [SHIPPED[0]]),
    ]


def test_a_great_change_waits_for_an_operator(unit_of_work: UnitOfWork, session: Session) -> None:
    grown = [*SHIPPED, *(f"3.18.13.{number}" for number in range(1, LARGEST_GROWTH + 2))]
    refreshed(unit_of_work, SHIPPED)
    assert refreshed(unit_of_work, grown).outcome == "proposed"
    assert refreshed(unit_of_work, SHIPPED[:2]).outcome == "proposed"
    assert [(status, count) for status, count, *_ in stored(session)] == [
        ("active", 12), ("retired", 21), ("proposed", 2),
    ]  # fmt: skip
    assert refreshed(unit_of_work, grown, accept=True).outcome == "applied"
    assert [(status, count) for status, count, *_ in stored(session)] == [
        ("retired", 12), ("retired", 21), ("retired", 2), ("active", 21),
    ]  # fmt: skip


def test_a_failure_changes_nothing(unit_of_work: UnitOfWork, session: Session) -> None:
    refreshed(unit_of_work, SHIPPED)
    before = stored(session)

    def away() -> bytes:
        raise UnavailableError("no answer")

    with pytest.raises(UnavailableError):
        refresh_addresses(unit_of_work, away)
    for content in ([], ["10.0.0.1"]):
        with pytest.raises(InvalidValueError):
            refreshed(unit_of_work, content, accept=True)
    assert stored(session) == before
