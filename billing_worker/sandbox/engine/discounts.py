"""Coupons applied to a subtotal."""

from __future__ import annotations

from datetime import UTC, datetime

from billing_worker.kernel.periods import add_months
from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session


def new_discounts(session: Session, given: list[Document], customer_id: str, subscription_id: str | None) -> list[str]:
    """Turn `discounts[]` parameters into discount objects, and give their ids.

    Raises: ApiError for a coupon or a promotion code that is missing or cannot be redeemed.
    """
    return [_new_discount(session, entry, customer_id, subscription_id) for entry in given]


def _new_discount(session: Session, given: Document, customer_id: str, subscription_id: str | None) -> str:
    if "discount" in given:
        return str(session.get("discount", given["discount"], param="discounts")["id"])
    if "promotion_code" in given:
        promotion = _redeem_code(session, given["promotion_code"], customer_id)
        coupon_id = promotion["promotion"]["coupon"]
        return str(redeem(session, coupon_id, customer_id, subscription=subscription_id, code=promotion["id"])["id"])
    if "coupon" not in given:
        raise invalid("Each discount names a coupon, a promotion_code or a discount.", param="discounts")
    return str(redeem(session, given["coupon"], customer_id, subscription=subscription_id)["id"])


def redeem(
    session: Session,
    coupon_id: str,
    customer_id: str,
    *,
    subscription: str | None = None,
    code: str | None = None,
    event: str | None = "customer.discount.created",
) -> Document:
    """Redeem a coupon, and tell of the discount.

    Raises: ApiError for a coupon that is missing, expired or used up.
    """
    coupon = session.get("coupon", coupon_id, param="coupon")
    if not coupon["valid"] or (coupon["redeem_by"] is not None and coupon["redeem_by"] <= session.now):
        raise invalid(f"Coupon {coupon_id} is expired or has been used up.", param="coupon", code="coupon_expired")
    coupon["times_redeemed"] += 1
    coupon["valid"] = coupon["times_redeemed"] != coupon["max_redemptions"]
    return session.add(
        {
            "id": new_id("discount"),
            "object": "discount",
            "checkout_session": None,
            "customer": customer_id,
            "customer_account": None,
            "end": None,
            "invoice": None,
            "invoice_item": None,
            "promotion_code": code,
            "source": {"coupon": coupon["id"], "type": "coupon"},
            "start": session.now,
            "subscription": subscription,
            "subscription_item": None,
            "_coupon": public(coupon),
        },
        event,
    )


def set_customer_discount(session: Session, customer: Document, coupon_id: str) -> None:
    """Give a customer a discount on everything, in place of the one held so far; an empty coupon takes it away."""
    if not coupon_id:
        drop_customer_discount(session, customer)
        return
    before = customer["discount"]
    discount = redeem(session, coupon_id, customer["id"], event=None)
    customer["discount"] = public(discount)
    if before is None:
        session.tell("customer.discount.created", discount)
    else:
        session.tell_difference("customer.discount.updated", before, customer["discount"])


def drop_customer_discount(session: Session, customer: Document) -> None:
    """Take a customer's discount away."""
    discount, customer["discount"] = customer["discount"], None
    if discount is not None:
        session.tell("customer.discount.deleted", discount | {"end": session.now})


def discounts_of(session: Session, customer: Document) -> list[str]:
    """Give what is taken off an invoice that names no discounts: the customer's own, a `once` one only once."""
    discount = customer["discount"]
    if discount is None:
        return []
    if _applies(session, discount["id"]):
        return [discount["id"]]
    is_unused = session.get("discount", discount["id"])["_coupon"]["duration"] == "once" and not any(
        discount["id"] in invoice["discounts"] for invoice in session.peek("invoice", "customer", customer["id"])
    )
    return [discount["id"]] if is_unused else []


def _redeem_code(session: Session, code_id: str, customer_id: str) -> Document:
    promotion = session.get("promotion_code", code_id, param="discounts[0][promotion_code]")
    is_expired = promotion["expires_at"] is not None and promotion["expires_at"] <= session.now
    if not promotion["active"] or is_expired:
        raise invalid(
            "This promotion code is inactive or has expired.", param="discounts", code="promotion_code_expired"
        )
    if promotion["customer"] not in {None, customer_id}:
        raise invalid("This promotion code cannot be redeemed by this customer.", param="discounts")
    promotion["times_redeemed"] += 1
    if promotion["times_redeemed"] == promotion["max_redemptions"]:
        promotion["active"] = False
    return promotion


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
