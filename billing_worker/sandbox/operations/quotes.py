"""Quotes: offers that become a subscription or an invoice when the customer accepts them."""

from __future__ import annotations

from typing import Any

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import listing, merge, retrieve
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.engine.baskets import basket, recurring_items, subtotal
from billing_worker.sandbox.engine.discounts import new_discounts
from billing_worker.sandbox.engine.invoices import attach_items, new_invoice, open_draft, set_lines
from billing_worker.sandbox.engine.lines import invoice_item, pricing_of
from billing_worker.sandbox.engine.subscribing import subscribe

_VALID_SECONDS = 30 * 86_400
"""Source: Stripe documentation, “Quotes”: 30 days unless told otherwise."""
_DETAILS: Document = {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}
_PLAIN = "collection_method description expires_at footer header"


def _complete(call: Call, quote: Document) -> None:
    session, params = call.session, call.params
    if "customer" in params:
        quote["customer"] = session.get("customer", params["customer"], param="customer")["id"]
    quote["expires_at"] = quote["expires_at"] or session.now + _VALID_SECONDS
    _revise(call, quote)


def _revise(call: Call, quote: Document) -> None:
    if quote["status"] != "draft":
        raise invalid("Only draft quotes can be changed.", code="quote_unexpected_state")
    session, params = call.session, call.params
    merge(quote, params, "invoice_settings", "subscription_data")
    if "discounts" in params:
        quote["discounts"] = new_discounts(session, params["discounts"] or [], quote["customer"], None)
    if "line_items" in params:
        quote["_items"] = basket(session, params["line_items"])
        _add_up(quote)


def _add_up(quote: Document) -> None:
    items: list[Document] = quote["_items"]
    repeated = [item for item in items if item["price"]["recurring"] is not None]
    upfront = subtotal(items)
    quote |= {
        "amount_subtotal": upfront,
        "amount_total": upfront,
        "currency": items[0]["currency"],
        "computed": {
            "recurring": None if not repeated else _recurring(repeated),
            "upfront": {"amount_subtotal": upfront, "amount_total": upfront, "total_details": dict(_DETAILS)},
        },
    }


def _recurring(items: list[Document]) -> Document:
    total, rhythm = subtotal(items), items[0]["price"]["recurring"]
    return {
        "amount_subtotal": total,
        "amount_total": total,
        "interval": rhythm["interval"],
        "interval_count": rhythm["interval_count"],
        "total_details": dict(_DETAILS),
    }


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
        "invoice_settings": {"days_until_due": None, "issuer": {"type": "self"}},
        "number": None,
        "on_behalf_of": None,
        "status": "draft",
        "status_transitions": {"accepted_at": None, "canceled_at": None, "finalized_at": None},
        "subscription": None,
        "subscription_data": {
            "billing_mode": {"type": "classic", "flexible": None},
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
    takes="customer discounts invoice_settings line_items subscription_data",
    changes="discounts invoice_settings line_items subscription_data",
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
        "collection_method": quote["collection_method"],
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
        discounts=list(quote["discounts"]),
        parent=parent,
        _days_until_due=quote["invoice_settings"]["days_until_due"],
    )
    items = [
        session.add(
            invoice_item(
                session,
                customer=customer["id"],
                amount_minor=item["amount_total"],
                currency=item["currency"],
                description=item["description"],
                quantity=item["quantity"],
                quantity_decimal=str(item["quantity"]),
                pricing=pricing_of(item["price"]),
            ),
            "invoiceitem.created",
        )
        for item in quote["_items"]
    ]
    set_lines(session, invoice, attach_items(invoice, items))
    return open_draft(session, invoice)


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
]
