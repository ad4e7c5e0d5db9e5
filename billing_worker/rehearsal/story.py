"""What happens in the shop's month: customers, what they buy, and on which day they do what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from billing_worker.rehearsal.shop import FAILING_CARD, GOOD_CARD, Person, Shop

DAYS = 32
"""A month and a day: monthly renewals and the last retry of the second failing card fall into it."""

PEOPLE = (
    Person("ada", "basic", daily_calls=120),
    Person("bela", "basic"),
    Person("chiara", "pro", daily_calls=300),
    Person("dmitri", "pro", trial_days=14),
    Person("emeka", "basic", card=FAILING_CARD, trial_days=7),
    Person("fatima", "weekly", daily_calls=60),
    Person("goran", "weekly"),
    Person("hana", "basic"),
    Person("ines", "pro", card=FAILING_CARD, trial_days=3),
    Person("jiro", "weekly", daily_calls=90, quota=50),
)

JOINS_ON_DAY = {"goran": 3, "hana": 5, "ines": 2}
"""Everybody else is there from the first day."""


@dataclass(frozen=True)
class Moment:
    """Something the shop or a customer does at a time of the month."""

    at: timedelta
    what: str
    act: Callable[[], None]


def list_moments(shop: Shop) -> list[Moment]:
    """Return the month's actions in their order."""
    joins = [
        _moment(JOINS_ON_DAY.get(person.name, 0), f"{person.name} subscribes to {person.plan}", shop.join, person)
        for person in PEOPLE
    ]
    later = [
        _moment(4, "bela upgrades in the middle of the period", shop.change_plan, "bela", "pro"),
        _moment(6, "chiara changes her address, twice in a second", shop.correct_email, "chiara"),
        _moment(9.5, "emeka, whose card fails, gives another one", shop.replace_card, "emeka", GOOD_CARD),
        _moment(10, "ada gets a part of her money back", shop.refund_part, "ada", 300),
        _moment(12, "fatima buys two seats more", shop.set_quantity, "fatima", 3),
        _moment(15, "hana cancels at the end of her period", shop.cancel_at_period_end, "hana"),
        _moment(17, "the shop renames a product", shop.rename_product, "basic"),
        _moment(20, "goran cancels at once", shop.cancel_now, "goran"),
        _moment(24, "dmitri downgrades", shop.change_plan, "dmitri", "basic"),
        _moment(26, "fatima's card fails from now on", shop.replace_card, "fatima", FAILING_CARD),
        _moment(29.5, "fatima pays with a good card again", shop.replace_card, "fatima", GOOD_CARD),
    ]
    return sorted([*joins, *later], key=lambda moment: moment.at)


def _moment(day: float, what: str, act: Callable[..., None], *arguments: object) -> Moment:
    return Moment(timedelta(days=day), what, partial(act, *arguments))
