"""The seeds as data: a catalogue and six customers who cover what a shop meets."""

from __future__ import annotations

from dataclasses import dataclass

SEED = "seed"
"""The mark of the seeds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A product with one price. Units: cents per interval."""

    name: str
    amount_minor: int
    interval: str

    @property
    def lookup_key(self) -> str:
        """The key by which the price is found again."""
        return f"nself_seed_{self.name}"


@dataclass(frozen=True, slots=True)
class Person:
    """A seeded customer. Shape: without a card invoices go by mail."""

    name: str
    plan: str
    card: str | None = "pm_card_visa"
    trial_days: int = 0
    pays: bool = True


PLANS = (Plan("basic", 1000, "month"), Plan("pro", 2900, "month"), Plan("yearly", 29900, "year"))

PEOPLE = (
    Person("ana", "basic"),
    Person("ben", "pro", card="pm_card_mastercard"),
    Person("cleo", "pro", trial_days=14),
    Person("dora", "basic", card="pm_card_chargeCustomerFail", pays=False),
    Person("emil", "yearly", card="pm_card_amex"),
    Person("fay", "basic", card=None, pays=False),
)
INVOICE_MINOR = 4900
"""What the seeded invoice of each customer is over."""
