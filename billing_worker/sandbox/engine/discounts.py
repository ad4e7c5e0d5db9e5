"""Coupons applied to a subtotal."""

from __future__ import annotations

from datetime import UTC, datetime

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session


def new_discounts(session: Session, given: list[Document], customer_id: str, subscription_id: str | None) -> list[str]:
    """Turn `discounts[][coupon]` parameters into discount objects, and give their ids.

    Raises: ApiError for a missing coupon and for what the sandbox has not: promotion codes.
    """
    return [_new_discount(session, entry, customer_id, subscription_id) for entry in given]


def _new_discount(session: Session, given: Document, customer_id: str, subscription_id: str | None) -> str:
    if "discount" in given:
        return str(session.get("discount", given["discount"], param="discounts")["id"])
    if "coupon" not in given:
        raise invalid("The sandbox applies coupons only, not promotion codes.", param="discounts")
    coupon = session.get("coupon", given["coupon"], param="discounts[0][coupon]")
    coupon["times_redeemed"] += 1
    discount = session.add(
        {
            "id": new_id("discount"),
            "object": "discount",
            "checkout_session": None,
            "customer": customer_id,
            "customer_account": None,
            "end": None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": None,
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": session.now,
            "subscription": subscription_id,
            "subscription_item": None,
            "_coupon": public(coupon),
        },
        "customer.discount.created",
    )
    return str(discount["id"])


def discount_amounts(session: Session, discount_ids: list[str], subtotal: int) -> list[Document]:
    """Compute what each discount takes off, one after the other, never below zero."""
    amounts, rest = [], max(subtotal, 0)
    for discount_id in discount_ids:
        coupon = session.get("discount", discount_id)["_coupon"]
        percent = coupon["percent_off"]
        off = round(rest * percent / 100) if percent is not None else min(coupon["amount_off"], rest)
        rest -= off
        amounts.append({"amount": off, "discount": discount_id})
    return amounts


def carried_over(session: Session, discount_ids: list[str]) -> list[str]:
    """Keep the discounts that still apply to a renewal."""
    return [discount_id for discount_id in discount_ids if _applies(session, discount_id)]


def _applies(session: Session, discount_id: str) -> bool:
    discount = session.get("discount", discount_id)
    coupon = discount["_coupon"]
    if coupon["duration"] != "repeating":
        return bool(coupon["duration"] == "forever")
    ends = add_months(datetime.fromtimestamp(discount["start"], UTC), coupon["duration_in_months"])
    return session.now < ends.timestamp()
