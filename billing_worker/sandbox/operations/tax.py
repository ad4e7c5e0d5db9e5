"""Tax rates and tax ids."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.families import retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource
from billing_worker.sandbox.core.routes import CURSOR, Call, route

_MAX_PERCENTAGE = 100
_RATE_FIELDS = "active country description display_name jurisdiction state tax_type"


def _check_rate(call: Call, rate: Document) -> None:
    rate["percentage"] = float(call.params["percentage"])
    if not 0 <= rate["percentage"] <= _MAX_PERCENTAGE:
        raise invalid("Invalid percentage: must be between 0 and 100.", param="percentage")


TAX_RATES = Resource(
    kind="tax_rate",
    url="/v1/tax_rates",
    blank={
        "active": True,
        "country": None,
        "description": None,
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    },
    event="tax_rate.created",
    fields=f"{_RATE_FIELDS} inclusive",
    changeable=_RATE_FIELDS,
    takes="percentage",
    filters="active inclusive",
    prepare=_check_rate,
)


def create_id(call: Call) -> Document:
    """Give a customer a tax id."""
    session = call.session
    customer = session.get("customer", call.id)
    kind, value = call.params["type"], call.params["value"]
    if any(known["value"] == value for known in session.peek("tax_id", "customer", call.id)):
        raise invalid(
            "The tax ID has already been added to the customer.", param="value", code="resource_already_exists"
        )
    return session.add(
        {
            "id": new_id("tax_id"),
            "object": "tax_id",
            "country": value[:2] if kind == "eu_vat" else kind[:2].upper(),
            "created": session.now,
            "customer": customer["id"],
            "customer_account": None,
            "livemode": False,
            "owner": {"customer": customer["id"], "customer_account": None, "type": "customer"},
            "type": kind,
            "value": value,
            "verification": {"status": "pending", "verified_address": None, "verified_name": None},
        },
        "customer.tax_id.created",
    )


def list_ids(call: Call) -> Document:
    """List a customer's tax ids."""
    call.session.get("customer", call.id)
    found = reversed(call.session.peek("tax_id", "customer", call.id))
    return page(found, call.params, f"/v1/customers/{call.id}/tax_ids", kind="tax_id")


def retrieve_id(call: Call) -> Document:
    """Return one of a customer's tax ids."""
    found = call.session.get("tax_id", call.ids[1])
    if found["customer"] != call.id:
        raise no_such("tax_id", call.ids[1])
    return found


def delete_id(call: Call) -> Document:
    """Take a tax id from its customer."""
    found = retrieve_id(call)
    call.session.tell("customer.tax_id.deleted", found, is_last=True)
    call.session.remove(found)
    return {"id": found["id"], "object": "tax_id", "deleted": True}


OPERATIONS = [
    *TAX_RATES.routes(),
    route("GET", "/v1/tax_ids/{id}", retrieve("tax_id")),
    route("POST", "/v1/customers/{customer}/tax_ids", create_id, "type value"),
    route("GET", "/v1/customers/{customer}/tax_ids", list_ids, CURSOR),
    route("GET", "/v1/customers/{customer}/tax_ids/{id}", retrieve_id),
    route("DELETE", "/v1/customers/{customer}/tax_ids/{id}", delete_id),
]
