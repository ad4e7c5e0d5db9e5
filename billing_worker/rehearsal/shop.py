"""What the shop does at Stripe: a catalogue, customers, subscriptions, and their changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from billing_worker.rehearsal.shop_client import ShopClient

GOOD_CARD = "pm_card_visa"
FAILING_CARD = "pm_card_chargeCustomerFail"
"""Attaches without complaint and declines every charge: the card that is blocked after a sale."""

PLANS = {"basic": (1000, "month"), "pro": (2900, "month"), "weekly": (700, "week")}
"""Units: cents and the renewal's interval."""


@dataclass(frozen=True)
class Person:
    """One customer of the shop.

    Units: `daily_calls` is the metered use per day, `quota` the calls granted per day.
    """

    name: str
    plan: str
    card: str = GOOD_CARD
    trial_days: int = 0
    daily_calls: int = 40
    quota: int = 1000


class Shop:
    """The application beside the billing system; it keeps the ids that it needs, as an application does."""

    def __init__(self, client: ShopClient, run: str) -> None:
        self._client = client
        self._run = run
        self._products: dict[str, str] = {}
        self._prices: dict[str, str] = {}
        self._customers: dict[str, str] = {}
        self._subscriptions: dict[str, str] = {}

    def user_of(self, person: Person) -> str:
        """Return the user id of a person: usage and quotas go by it."""
        return f"{person.name}-{self._run}"

    def open_for_business(self) -> None:
        """Create products and prices."""
        for name, (amount, interval) in PLANS.items():
            product = self._client.post("products", name=name.capitalize(), metadata={"run": self._run})
            price = self._client.post(
                "prices", product=product["id"], currency="usd", unit_amount=amount, recurring={"interval": interval}
            )
            self._products[name], self._prices[name] = product["id"], price["id"]

    def has_joined(self, person: Person) -> bool:
        """Say whether a person is a customer by now."""
        return person.name in self._customers

    def join(self, person: Person) -> None:
        """Create the customer with a card, and the subscription."""
        customer = self._client.post(
            "customers",
            name=person.name.capitalize(),
            email=f"{person.name}@example.com",
            metadata={"user_id": self.user_of(person)},
        )
        self._customers[person.name] = customer["id"]
        self.replace_card(person.name, person.card)
        trial: dict[str, Any] = {"trial_period_days": person.trial_days} if person.trial_days else {}
        subscription = self._client.post(
            "subscriptions", customer=customer["id"], items=[{"price": self._prices[person.plan]}], **trial
        )
        self._subscriptions[person.name] = subscription["id"]

    def replace_card(self, name: str, card: str) -> None:
        """Attach a card and make it the default one."""
        customer_id = self._customers[name]
        attached = self._client.post(f"payment_methods/{card}/attach", customer=customer_id)
        self._client.post(f"customers/{customer_id}", invoice_settings={"default_payment_method": attached["id"]})

    def correct_email(self, name: str) -> None:
        """Change the address twice in one second, as people do who see a typing error."""
        for address in (f"{name}@exmaple.com", f"{name}@example.org"):
            self._client.post(f"customers/{self._customers[name]}", email=address)

    def change_plan(self, name: str, plan: str) -> None:
        """Move the subscription to another price, with proration."""
        subscription = self._client.get(f"subscriptions/{self._subscriptions[name]}")
        item = {"id": subscription["items"]["data"][0]["id"], "price": self._prices[plan]}
        self._client.post(f"subscriptions/{subscription['id']}", items=[item])

    def set_quantity(self, name: str, quantity: int) -> None:
        """Change the number of seats."""
        subscription = self._client.get(f"subscriptions/{self._subscriptions[name]}")
        item = {"id": subscription["items"]["data"][0]["id"], "quantity": quantity}
        self._client.post(f"subscriptions/{subscription['id']}", items=[item])

    def refund_part(self, name: str, amount: int) -> None:
        """Give a part of the first payment back."""
        charges = self._client.get("charges", customer=self._customers[name], limit=100)["data"]
        paid = next(charge for charge in reversed(charges) if charge["paid"])
        self._client.post("refunds", charge=paid["id"], amount=amount)

    def cancel_at_period_end(self, name: str) -> None:
        """Let the subscription run out."""
        self._client.post(f"subscriptions/{self._subscriptions[name]}", cancel_at_period_end=True)

    def cancel_now(self, name: str) -> None:
        """End the subscription at once."""
        self._client.delete(f"subscriptions/{self._subscriptions[name]}")

    def rename_product(self, name: str) -> None:
        """Change the catalogue."""
        self._client.post(f"products/{self._products[name]}", name=f"{name.capitalize()} plan")
