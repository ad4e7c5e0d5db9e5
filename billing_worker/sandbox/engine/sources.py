"""Cards as they were before payment methods: objects of a customer that pay by default."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.session import Session
from billing_worker.sandbox.engine.cards import behaviour_of_token, card_method

_ADDRESS = (
    *("address_city", "address_country", "address_line1", "address_line1_check", "address_line2", "address_state"),
    *("address_zip", "address_zip_check"),
)


def add_source(session: Session, customer: Document, token_id: str) -> Document:
    """Give a customer the card that a token stands for; the first one becomes the default.

    Shape: the same card is a payment method with the same id, as at Stripe.
    Raises: ApiError for a token that is none of the test ones nor made before.
    """
    made = session.find("token", token_id)
    name = made["_behaviour"] if made else behaviour_of_token(token_id)
    if not name:
        raise invalid(f"No such token: '{token_id}'", param="source", code="resource_missing")
    if made:
        if made["used"]:
            raise invalid(
                "You cannot use a Stripe token more than once: " + token_id, param="source", code="token_already_used"
            )
        made["used"] = True
    method = session.add(card_method(session, {"token": token_of(name)}) | {"id": new_id("card")})
    method["customer"] = customer["id"]
    card = session.add(card_view(method), "customer.source.created")
    if customer["default_source"] is None:
        customer["default_source"] = card["id"]
        session.tell_changes(customer)
    return card


def token_of(behaviour: str) -> str:
    """Name the test token of a test card."""
    return behaviour.replace("pm_card_", "tok_", 1)


def card_view(method: Document) -> Document:
    """Show a payment method as the card it would have been."""
    card = method["card"]
    kept = ("country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "regulated_status")
    return (
        dict.fromkeys(_ADDRESS)
        | {name: card[name] for name in kept}
        | {
            "id": method["id"],
            "object": "card",
            "allow_redisplay": "unspecified",
            "brand": card["brand"].title(),
            "customer": method["customer"],
            "cvc_check": card["checks"]["cvc_check"],
            "dynamic_last4": None,
            "metadata": {},
            "name": method["billing_details"]["name"],
            "tokenization_method": None,
            "wallet": None,
        }
    )
