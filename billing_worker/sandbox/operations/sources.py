"""The API from before payment intents: tokens, customers' cards and direct charges."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, clone, public
from billing_worker.sandbox.core.errors import ApiError, invalid, no_such
from billing_worker.sandbox.core.families import assign, check_metadata, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.engine.amounts import check_currency
from billing_worker.sandbox.engine.blanks import BLANK_INTENT
from billing_worker.sandbox.engine.cards import card_method, card_of, create_method
from billing_worker.sandbox.engine.charging import new_charge, settle_funds
from billing_worker.sandbox.engine.sources import add_source, card_view, token_of

_CARD_FIELDS = (
    "address_city address_country address_line1 address_line2 address_state address_zip exp_month exp_year name"
)


def create_token(call: Call) -> Document:
    """Make a token for a test card."""
    session, params = call.session, call.params
    if not isinstance(params.get("card"), dict):
        raise invalid("The sandbox makes tokens of cards only.", param="card", code="sandbox_not_simulated")
    method = card_method(session, params["card"])
    card = card_view(method | {"id": new_id("card")})
    return session.add(
        {
            "id": new_id("token"),
            "object": "token",
            "card": card,
            "client_ip": None,
            "created": session.now,
            "livemode": False,
            "type": "card",
            "used": False,
            "_behaviour": method["_behaviour"],
        }
    )


def create_source(call: Call) -> Document:
    """Add a card to a customer."""
    card = add_source(call.session, call.session.get("customer", call.id), call.params["source"])
    merge_metadata(card, call.params)
    return card


def list_sources(call: Call) -> Document:
    """List a customer's cards."""
    call.session.get("customer", call.id)
    found = reversed(call.session.peek("card", "customer", call.id))
    return page(found, call.params, f"/v1/customers/{call.id}/sources", kind="card")


def retrieve_source(call: Call) -> Document:
    """Return one of a customer's cards."""
    card = call.session.find("card", call.ids[1])
    if card is None or card["customer"] != call.id:
        raise no_such("source", call.ids[1])
    return card


def update_source(call: Call) -> Document:
    """Update a card."""
    card = retrieve_source(call)
    assign(card, call.params, _CARD_FIELDS)
    merge_metadata(card, call.params)
    call.session.tell_changes(card)
    return card


def delete_source(call: Call) -> Document:
    """Take a card from its customer; the newest of the others becomes the default."""
    session, card = call.session, retrieve_source(call)
    session.tell("customer.source.deleted", card, is_last=True)
    session.remove(card)
    session.remove(session.get("payment_method", card["id"]))
    customer = session.get("customer", call.id)
    if customer["default_source"] == card["id"]:
        others = session.peek("card", "customer", call.id)
        customer["default_source"] = others[-1]["id"] if others else None
        session.tell_changes(customer)
    return {"id": card["id"], "object": "card", "deleted": True}


def create_charge(call: Call) -> Document:
    """Charge a customer's default card, or a token, without a payment intent."""
    session, params = call.session, call.params
    for name in ("amount", "currency"):
        if name not in params:
            raise invalid(f"Missing required param: {name}.", param=name, code="parameter_missing")
    method = _charged_method(call)
    card = card_of(method)
    template = clone(BLANK_INTENT) | {
        "id": None,
        "amount": params["amount"],
        "currency": check_currency(params["currency"]),
        "customer": params.get("customer"),
        "metadata": check_metadata(params.get("metadata")),
    }
    assign(template, params, "description receipt_email shipping")
    charge = new_charge(session, template, method, card)
    if card.decline_code:
        session.tell("charge.failed", charge)
        raise ApiError(
            card.message,
            status=402,
            kind="card_error",
            code=card.code,
            extra={"decline_code": card.decline_code, "charge": charge["id"]},
            keeps_changes=True,
        )
    charge["source"] = public(card_view(method))
    session.tell("charge.succeeded", charge)
    settle_funds(session, charge, is_instant=card.is_instant)
    return charge


def _charged_method(call: Call) -> Document:
    session, params = call.session, call.params
    customer = session.get("customer", params["customer"], param="customer") if "customer" in params else None
    source = params.get("source")
    if customer is None and source is None:
        raise invalid("Must provide source or customer.", code="parameter_missing", param="source")
    if source is None or source.startswith("card_"):
        held = source or (customer or {})["default_source"]
        if held is None:
            raise ApiError(
                "Cannot charge a customer that has no active card", status=402, kind="card_error", code="missing"
            )
        return session.get("payment_method", held, param="source")
    made = session.find("token", source)
    token = token_of(made["_behaviour"]) if made else source
    return create_method(session, {"card": {"token": token}})


OPERATIONS = [
    route("POST", "/v1/tokens", create_token, "card"),
    route("GET", "/v1/tokens/{token}", retrieve("token")),
    route("POST", "/v1/customers/{customer}/sources", create_source, "source metadata"),
    route("GET", "/v1/customers/{customer}/sources", list_sources, CURSOR),
    route("GET", "/v1/customers/{customer}/sources/{id}", retrieve_source),
    route("POST", "/v1/customers/{customer}/sources/{id}", update_source, f"{_CARD_FIELDS} metadata"),
    route("DELETE", "/v1/customers/{customer}/sources/{id}", delete_source),
    route(
        "POST",
        "/v1/charges",
        create_charge,
        "amount currency customer source description metadata receipt_email shipping",
    ),
]
