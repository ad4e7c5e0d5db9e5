"""Read the addresses Stripe publishes and put them in force, unless they changed more than they ever do at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.address_rows import find_addresses, insert_addresses, retire_addresses, touch_addresses
from billing_worker.inbox.addresses import SOURCE_URL, AddressList, parse_published, shipped_addresses

LARGEST_GROWTH = 8
"""Stripe announces changes a week ahead and adds a handful; more at once is for a person to look at."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AddressChange:
    """What a refresh did.

    Shape: `outcome` is unchanged | applied | proposed; a proposal waits for `webhook addresses --accept`.
    """

    outcome: str
    networks: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]


def refresh_addresses(unit_of_work: UnitOfWork, fetch: Callable[[], bytes], *, accept: bool = False) -> AddressChange:
    """Fetch, check, compare, and keep what is new as a row that names the difference.

    Phases: one request, with no transaction open; one transaction.
    Raises: InvalidValueError for what is no list, UnavailableError when it cannot be had; the list in force stays then.
    """
    published = parse_published(fetch())
    with unit_of_work.transaction() as session:
        now = unit_of_work.now()
        active = find_addresses(session, "active")
        known = set(active.networks if active else shipped_addresses().networks)
        change = _compare(known, published, accept=accept)
        if active is not None and change.outcome == "unchanged":
            touch_addresses(session, now)
            retire_addresses(session, ["proposed"])
            return change
        is_proposed = change.outcome == "proposed"
        retire_addresses(session, ["proposed"] if is_proposed else ["active", "proposed"])
        insert_addresses(
            session,
            published,
            added=change.added,
            removed=change.removed,
            source=SOURCE_URL,
            status="proposed" if is_proposed else "active",
            now=now,
        )
    if change.added or change.removed:
        # Never in silence: who may deliver has changed, or would.
        _log.warning("stripe_addresses_changed", outcome=change.outcome, added=change.added, removed=change.removed)
    return change


def _compare(known: set[str], published: AddressList, *, accept: bool) -> AddressChange:
    found = set(published.networks)
    added, removed = tuple(sorted(found - known)), tuple(sorted(known - found))
    if not added and not removed:
        outcome = "unchanged"
    elif accept or (len(added) <= LARGEST_GROWTH and len(removed) * 2 <= len(known)):
        outcome = "applied"
    else:
        outcome = "proposed"
    return AddressChange(outcome, published.networks, added, removed)
