"""What happens on a hosted checkout page: the customer pays, subscribes or leaves."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import ApiError, invalid
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.core.timeline import Duty
from billing_worker.sandbox.engine.baskets import add_up, one_time_items, recurring_items
from billing_worker.sandbox.engine.charging import new_intent
from billing_worker.sandbox.engine.debits import confirm_any
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.setups import confirm_setup
from billing_worker.sandbox.engine.subscribing import subscribe
from billing_worker.sandbox.engine.taxes import named_rates


def complete(session: Session, checkout: Document, method: Document) -> None:
    """Let the customer confirm the page.

    Raises: ApiError when the page is closed or the payment is refused; the page stays open then.
    """
    if checkout["status"] != "open":
        raise invalid(f"This Checkout Session is no longer open: it is {checkout['status']}.")
    if checkout["mode"] == "setup":
        is_paid = _set_up(session, checkout, method)
    elif checkout["mode"] == "payment":
        is_paid = _pay(session, checkout, method)
    else:
        is_paid = _subscribe(session, checkout, method)
    is_free = checkout["mode"] == "setup" or checkout["amount_total"] == 0
    details = method["billing_details"]
    checkout |= {
        "status": "complete",
        "payment_status": "no_payment_required" if is_free else "paid" if is_paid else "unpaid",
        "url": None,
        "customer_details": {
            "address": details["address"],
            "business_name": None,
            "email": details["email"],
            "individual_name": None,
            "name": details["name"],
            "phone": details["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        },
    }
    session.tell("checkout.session.completed", checkout)


def coupons_from(session: Session, params: dict[str, Any], items: list[Document]) -> dict[str, Document]:
    """Look up what a page's `discounts` take off, by the ids they are named by; nothing is redeemed yet.

    Raises: ApiError for a coupon or code that could not be redeemed now.
    """
    given = params.get("discounts") or []
    if not given:
        return {}
    if params.get("allow_promotion_codes"):
        raise invalid(
            "You may only specify one of these parameters: allow_promotion_codes, discounts.", param="discounts"
        )
    if len(given) > 1:
        raise invalid("You can only apply one discount to a Checkout Session.", param="discounts")
    scratch = Session(store=session.store, now=session.now, settings=session.settings)
    redeemer = Redeemer(
        params.get("customer"),
        currency=items[0]["currency"] if items else None,
        subtotal_minor=sum(item["amount_subtotal"] for item in items),
    )
    found = new_discounts(scratch, given, redeemer)
    return {discount_id: scratch.get("discount", discount_id)["_coupon"] for discount_id in found}


def shown_discounts(given: list[Document]) -> list[Document]:
    """Show a page's discounts the way it does."""
    return [{"coupon": entry.get("coupon"), "promotion_code": entry.get("promotion_code")} for entry in given]


def add_up_page(session: Session, checkout: Document) -> None:
    """Compute what is due today: a trial makes what repeats free until it ends."""
    items = checkout["_items"]
    if not items:
        checkout |= {"amount_subtotal": None, "amount_total": None, "total_details": None}
        return
    data = checkout["_subscription_data"]
    if data.get("trial_end") or data.get("trial_period_days"):
        for item in items:
            if item["price"]["recurring"] is not None:
                item |= {"amount_subtotal": 0}
    rates = named_rates(session, data.get("default_tax_rates"), "subscription_data[default_tax_rates]")
    checkout |= add_up(items, checkout["_coupons"], rates)


def apply_code(session: Session, checkout: Document, code: str) -> None:
    """Let the visitor enter a promotion code.

    Raises: ApiError when the page takes none, or the code cannot be redeemed.
    """
    if not checkout["allow_promotion_codes"]:
        raise invalid("This page takes no promotion codes.", param="promotion_code")
    found = session.peek("promotion_code", "code", code)
    active = next((promotion for promotion in found if promotion["active"]), None)
    if active is None:
        raise invalid(f"This promotion code is invalid: {code}", param="promotion_code")
    given = [{"promotion_code": active["id"]}]
    named = {"customer": checkout["customer"], "discounts": given}
    checkout["_coupons"] = coupons_from(session, named, checkout["_items"])
    checkout |= {"_discount_params": given, "discounts": shown_discounts(given)}
    add_up_page(session, checkout)


def expire(session: Session, checkout: Document) -> None:
    """Close a page that nobody confirmed."""
    checkout |= {"status": "expired", "url": None}
    session.tell("checkout.session.expired", checkout)


def expires_at(checkout: Document) -> int | None:
    """Tell when a page closes by itself."""
    due: int | None = checkout["expires_at"] if checkout["status"] == "open" else None
    return due


CHECKOUT_DUTIES = {"checkout.session": Duty(expires_at, expire)}


def _set_up(session: Session, checkout: Document, method: Document) -> bool:
    intent = session.get("setup_intent", checkout["setup_intent"])
    refusal = confirm_setup(session, intent, method)
    if refusal is not None:
        raise refusal
    if intent["status"] != "succeeded":
        raise invalid("This payment method needs authentication, which the visitor did not complete.")
    if checkout["customer"] is not None and method["customer"] is None:
        method["customer"] = intent["customer"] = checkout["customer"]
        session.tell("payment_method.attached", method, is_last=True)
    return False


def _pay(session: Session, checkout: Document, method: Document) -> bool:
    given = checkout["_payment_intent_data"]
    if checkout["amount_total"] == 0:
        return True
    new_discounts(session, checkout["_discount_params"], _redeemer(checkout))
    intent = new_intent(
        session,
        amount_minor=checkout["amount_total"],
        currency=checkout["currency"],
        capture_method=given.get("capture_method", "automatic_async"),
        customer=checkout["customer"],
        description=given.get("description"),
        metadata=given.get("metadata") or {},
        payment_method_types=checkout["payment_method_types"],
        setup_future_usage=given.get("setup_future_usage"),
        shipping=given.get("shipping"),
    )
    checkout["payment_intent"] = intent["id"]
    refusal = confirm_any(session, intent, method)
    if refusal is not None:
        raise refusal
    return bool(intent["status"] == "succeeded")


def _subscribe(session: Session, checkout: Document, method: Document) -> bool:
    customer = session.get("customer", checkout["customer"])
    if method["customer"] is None:
        method["customer"] = customer["id"]
        session.tell("payment_method.attached", method, is_last=True)
    given = {name: value for name, value in checkout["_subscription_data"].items() if name in _SUBSCRIPTION_TAKES}
    refusal: ApiError | None
    params = given | {
        "items": recurring_items(checkout["_items"]),
        "add_invoice_items": one_time_items(checkout["_items"]),
        "default_payment_method": method["id"],
        "discounts": checkout["_discount_params"],
    }
    subscription, refusal = subscribe(session, customer, params)
    checkout |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    if refusal is not None:
        raise refusal
    return True


def _redeemer(checkout: Document) -> Redeemer:
    return Redeemer(
        checkout["customer"],
        checkout_session=checkout["id"],
        currency=checkout["currency"],
        subtotal_minor=checkout["amount_subtotal"],
    )


_SUBSCRIPTION_TAKES = frozenset(
    {
        *("billing_cycle_anchor", "billing_mode", "default_tax_rates", "description", "invoice_settings", "metadata"),
        *("proration_behavior", "trial_end", "trial_period_days", "trial_settings"),
    }
)
