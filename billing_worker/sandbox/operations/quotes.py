"""Quotes: offers that become a subscription or an invoice when the customer accepts them."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import listing, merge, retrieve
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.engine.baskets import add_up, basket, one_time_items, recurring_items
from billing_worker.sandbox.engine.discounts import Redeemer, new_discounts
from billing_worker.sandbox.engine.invoices import attach_items, new_invoice, open_draft, set_lines
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of
from billing_worker.sandbox.engine.subscribing import subscribe
from billing_worker.sandbox.engine.subscription_terms import first_billing_mode
from billing_worker.sandbox.engine.taxes import named_rates

_VALID_SECONDS = 30 * 86_400
"""Source: Stripe documentation, “Quotes”: 30 days unless told otherwise."""
_DETAILS: Document = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
_PLAIN = "collection_method description expires_at footer header"
_SPECIAL = "customer default_tax_rates discounts invoice_settings line_items subscription_data"


def _complete(call: Call, quote: Document) -> None:
    quote["expires_at"] = quote["expires_at"] or call.session.now + _VALID_SECONDS
    data = call.params.get("subscription_data") or {}
    mode = first_billing_mode(data, call.session.now)
    quote["subscription_data"]["billing_mode"] = {name: mode[name] for name in ("flexible", "type")}
    _revise(call, quote)


def _revise(call: Call, quote: Document) -> None:
    if quote["status"] != "draft":
        raise invalid("Only draft quotes can be changed.", code="quote_unexpected_state")
    session, params = call.session, call.params
    if "customer" in params:
        customer = session.get("customer", params["customer"], param="customer")
        quote |= {"customer": customer["id"], "test_clock": customer["test_clock"]}
    if "default_tax_rates" in params:
        rates = named_rates(session, params["default_tax_rates"])
        quote["default_tax_rates"] = [rate["id"] for rate in rates]
    data = {name: value for name, value in (params.get("subscription_data") or {}).items() if name != "billing_mode"}
    if effective := data.get("effective_date"):
        raise invalid(
            f"The sandbox does not simulate quotes that take effect at {effective}.",
            param="subscription_data[effective_date]",
            code="sandbox_not_simulated",
        )
    merge(quote, params | {"subscription_data": data}, "invoice_settings", "subscription_data")
    if "line_items" in params:
        quote["_items"] = basket(session, params["line_items"])
        quote["currency"] = quote["_items"][0]["currency"]
    if "discounts" in params:
        subtotal = sum(item["amount_subtotal"] for item in quote["_items"])
        redeemer = Redeemer(quote["customer"], currency=quote["currency"], subtotal_minor=subtotal or None)
        quote["discounts"] = new_discounts(session, params["discounts"], redeemer)
    _add_up(call, quote)


def _add_up(call: Call, quote: Document) -> None:
    session, items = call.session, quote["_items"]
    coupons = {found: session.get("discount", found)["_coupon"] for found in quote["discounts"]}
    rates = named_rates(session, quote["default_tax_rates"])
    customer = session.find("customer", quote["customer"])
    exempt = "none" if customer is None else customer["tax_exempt"]
    repeated = [item for item in items if item["price"]["recurring"] is not None]
    recurring = None
    if repeated:
        rhythm = repeated[0]["price"]["recurring"]
        recurring = add_up(repeated, coupons, rates, exempt=exempt) | {
            "interval": rhythm["interval"],
            "interval_count": rhythm["interval_count"],
        }
    upfront = add_up(items, coupons, rates, exempt=exempt)
    quote |= upfront | {"computed": {"recurring": recurring, "upfront": dict(upfront)}}


QUOTES = Resource(
    kind="quote",
    url="/v1/quotes",
    blank={
        "amount_subtotal": 0,
        "amount_total": 0,
        "application": None,
        "application_fee_amount": None,
        "application_fee_percent": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "collection_method": "charge_automatically",
        "computed": {
            "recurring": None,
            "upfront": {"amount_subtotal": 0, "amount_total": 0, "total_details": _DETAILS},
        },
        "currency": None,
        "customer": None,
        "customer_account": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "expires_at": None,
        "footer": None,
        "from_quote": None,
        "header": None,
        "invoice": None,
        "invoice_settings": {
            **dict.fromkeys(("custom_fields", "days_until_due", "description", "footer")),
            "issuer": {"type": "self"},
        },
        "number": None,
        "on_behalf_of": None,
        "status": "draft",
        "status_transitions": {"accepted_at": None, "canceled_at": None, "finalized_at": None},
        "subscription": None,
        "subscription_data": {
            "billing_mode": None,
            "description": None,
            "effective_date": None,
            "metadata": None,
            "trial_period_days": None,
        },
        "subscription_schedule": None,
        "test_clock": None,
        "total_details": _DETAILS,
        "transfer_data": None,
        "_items": [],
    },
    event="quote.created",
    fields=_PLAIN,
    changeable=_PLAIN,
    takes=_SPECIAL,
    changes=_SPECIAL,
    prepare=_complete,
    revise=_revise,
)


def _move(call: Call, quote: Document, status: str, transition: str) -> None:
    quote["status"] = status
    quote["status_transitions"][transition] = call.session.now


def _finalize(call: Call, quote: Document) -> None:
    if not quote["_items"] or quote["customer"] is None:
        raise invalid("A quote needs a customer and line items before it is finalized.", code="quote_unexpected_state")
    quote["expires_at"] = call.params.get("expires_at", quote["expires_at"])
    quote["number"] = f"QT-SANDBOX-{call.session.next_number('quote'):04d}-1"
    _move(call, quote, "open", "finalized_at")


def _cancel(call: Call, quote: Document) -> None:
    _move(call, quote, "canceled", "canceled_at")


def _accept(call: Call, quote: Document) -> None:
    session = call.session
    if recurring_items(quote["_items"]):
        customer = session.get("customer", quote["customer"])
        subscription, _ = subscribe(session, customer, _subscription_params(quote))
        quote |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    else:
        quote["invoice"] = _bill(call, quote)["id"]
    _move(call, quote, "accepted", "accepted_at")


def _subscription_params(quote: Document) -> dict[str, Any]:
    data = quote["subscription_data"]
    given = {name: data[name] for name in ("description", "metadata", "trial_period_days") if data[name] is not None}
    due = quote["invoice_settings"]["days_until_due"]
    return given | {
        "items": recurring_items(quote["_items"]),
        "add_invoice_items": one_time_items(quote["_items"]),
        "billing_mode": data["billing_mode"],
        "collection_method": quote["collection_method"],
        "default_tax_rates": list(quote["default_tax_rates"]),
        "discounts": [{"discount": discount} for discount in quote["discounts"]],
        **({} if due is None else {"days_until_due": due}),
    }


def _bill(call: Call, quote: Document) -> Document:
    session = call.session
    customer = session.get("customer", quote["customer"])
    parent = {"type": "quote_details", "quote_details": {"quote": quote["id"]}, "subscription_details": None}
    invoice = new_invoice(
        session,
        customer,
        currency=quote["currency"],
        reason="manual",
        auto_advance=False,
        collection_method=quote["collection_method"],
        default_tax_rates=named_rates(session, quote["default_tax_rates"]),
        description=quote["description"],
        discounts=list(quote["discounts"]),
        footer=quote["footer"],
        parent=parent,
        _days_until_due=quote["invoice_settings"]["days_until_due"],
    )
    items = [
        session.add(
            invoice_item(
                session,
                customer=customer["id"],
                amount_minor=item["amount_subtotal"],
                currency=item["currency"],
                description=item["description"],
                quantity=item["quantity"],
                quantity_decimal=str(item["quantity"]),
                pricing=pricing_of(item["price"]),
                tax_rates=list(item["_tax_rates"]),
            ),
            "invoiceitem.created",
        )
        for item in quote["_items"]
    ]
    set_lines(session, invoice, attach_items(invoice, items))
    return open_draft(session, invoice)


def list_upfront(call: Call) -> Document:
    """List what a quote charges at once."""
    quote = call.session.get("quote", call.id)
    return page(quote["_items"], call.params, f"/v1/quotes/{call.id}/computed_upfront_line_items", kind="item")


def list_items(call: Call) -> Document:
    """List what a quote offers."""
    quote = call.session.get("quote", call.id)
    return page(quote["_items"], call.params, f"/v1/quotes/{call.id}/line_items", kind="item")


_CODE = "quote_unexpected_state"
OPERATIONS = [
    QUOTES.creating(),
    QUOTES.updating(),
    route("GET", "/v1/quotes/{id}", retrieve("quote")),
    route("GET", "/v1/quotes", listing("quote", "/v1/quotes", "customer", "status"), f"{CURSOR} customer status"),
    route(
        "POST",
        "/v1/quotes/{id}/finalize",
        action("quote", "quote.finalized", _finalize, allowed=frozenset({"draft"}), code=_CODE),
        "expires_at",
    ),
    route(
        "POST",
        "/v1/quotes/{id}/accept",
        action("quote", "quote.accepted", _accept, allowed=frozenset({"open"}), code=_CODE),
    ),
    route(
        "POST",
        "/v1/quotes/{id}/cancel",
        action("quote", "quote.canceled", _cancel, allowed=frozenset({"draft", "open"}), code=_CODE),
    ),
    route("GET", "/v1/quotes/{id}/line_items", list_items, CURSOR),
    route("GET", "/v1/quotes/{id}/computed_upfront_line_items", list_upfront, CURSOR),
]
