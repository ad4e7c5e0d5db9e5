"""Runs the month: step by step through time, everything due drained in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing_worker.kernel.errors import RefusedError
from billing_worker.rehearsal.driver import Driver, utc_text
from billing_worker.rehearsal.metering import Meter
from billing_worker.rehearsal.shop import Shop
from billing_worker.rehearsal.shop_client import ShopClient
from billing_worker.rehearsal.story import DAYS, PEOPLE, list_moments

STEP = timedelta(hours=12)
DISTURBED = {"late": 0.05, "twice": 0.08, "shuffle": 0.1, "seed": 20260301}
"""How Stripe's deliveries misbehave: shares of events that come late, twice, or out of order."""


class RealStripeError(RefusedError):
    """A rehearsal moves time and fails cards: it needs the sandbox, and STRIPE_API_BASE names another Stripe."""


@dataclass(frozen=True)
class Progress:
    """How far the month is: the share done, the simulated time, and what happens."""

    done: float
    at: datetime
    what: str


@dataclass(frozen=True)
class MonthReport:
    """What was driven.

    Units: `seconds` of wall time.
    """

    started_at: datetime
    ended_at: datetime
    recorded: int
    repeated: int
    seconds: float


def run_month(
    client: ShopClient,
    driver: Driver,
    shop: Shop,
    meter: Meter,
    *,
    days: int = DAYS,
    tell: Callable[[Progress], None],
) -> MonthReport:
    """Drive the shop's month from the sandbox's present time.

    Phases: align the clocks; per step: act, meter, move time, wait for rest; at the end release what was held back.
    Raises: ShopCallError, RehearsalStuckError.
    """
    began = time.monotonic()
    driver.align()
    client.control("deliveries", **DISTURBED)
    start = driver.now()
    end = start + timedelta(days=days)
    tell(Progress(0.0, start, "the shop opens"))
    shop.open_for_business()
    waiting = list_moments(shop)
    at = start
    while at < end:
        upto = min(at + STEP, end)
        for moment in [moment for moment in waiting if moment.at < upto - start]:
            tell(Progress((at - start) / (end - start), at, moment.what))
            moment.act()
        waiting = [moment for moment in waiting if moment.at >= upto - start]
        joined = [person for person in PEOPLE if shop.has_joined(person)]
        for person in joined:
            meter.grant_once(person)
        driver.move_to(upto)
        for person in joined:
            meter.use(person, at, upto)
        tell(Progress((upto - start) / (end - start), upto, utc_text(upto)))
        at = upto
    client.control("deliveries", late=0.0, twice=0.0, shuffle=0.0)
    driver.release_held()
    driver.settle()
    return MonthReport(start, driver.now(), meter.recorded, meter.repeated, time.monotonic() - began)
