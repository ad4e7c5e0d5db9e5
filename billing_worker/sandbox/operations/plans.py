"""Plans: recurring prices as they used to be called, one object seen under two names."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.families import assign, merge_metadata
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.routes import PAGE, Call, route
from billing_worker.sandbox.engine.prices import new_price, plan_of
from billing_worker.sandbox.operations.catalog import create_product

_RECURRING = ("interval", "interval_count", "usage_type", "meter", "trial_period_days")


def create(call: Call) -> Document:
    """Create a plan, with its product when that is described instead of named."""
    session, params = call.session, call.params
    product = params.get("product")
    if isinstance(product, dict):
        product = create_product(Call(session, (), product, call.account_id))["id"]
    if product is None:
        raise invalid("Missing required param: product.", param="product", code="parameter_missing")
    session.get("product", product, param="product")
    amount = {"unit_amount": params["amount"]} if "amount" in params else {}
    if not amount and "amount_decimal" not in params:
        raise invalid("Missing required param: amount.", param="amount", code="parameter_missing")
    exact = {"unit_amount_decimal": params["amount_decimal"]} if "amount_decimal" in params else {}
    kept = {name: params[name] for name in ("currency", "active", "nickname", "metadata") if name in params}
    recurring = {name: params[name] for name in _RECURRING if name in params}
    price = new_price(session, kept | amount | exact | {"product": product, "recurring": recurring})
    if "id" in params:
        price["id"] = params["id"]
    session.add(price, "price.created")
    plan = plan_of(price)
    session.tell("plan.created", plan)
    return plan


def retrieve(call: Call) -> Document:
    """Return a plan."""
    return plan_of(_find(call))


def update(call: Call) -> Document:
    """Update what may change of a plan: never its amount."""
    price = _find(call)
    before = plan_of(price)
    assign(price, call.params, "active nickname product")
    merge_metadata(price, call.params)
    call.session.tell_changes(price)
    plan = plan_of(price)
    call.session.tell_difference("plan.updated", before, plan)
    return plan


def delete(call: Call) -> Document:
    """Delete a plan; subscriptions to it go on."""
    price = _find(call)
    price["active"] = False
    price["_is_deleted_plan"] = True
    call.session.tell("price.deleted", price, is_last=True)
    call.session.tell("plan.deleted", plan_of(price))
    return {"id": call.id, "object": "plan", "deleted": True}


def list_all(call: Call) -> Document:
    """List plans."""
    params = call.params
    found = (
        plan_of(price)
        for price in call.session.store.newest_first("price")
        if price["recurring"] is not None
        and not price.get("_is_deleted_plan")
        and in_range(price["created"], params.get("created"))
        and all(params.get(name, price[name]) == price[name] for name in ("active", "product"))
    )
    return page(found, params, "/v1/plans", kind="plan")


def _find(call: Call) -> Document:
    price = call.session.find("price", call.id)
    if price is None or price["recurring"] is None or price.get("_is_deleted_plan"):
        raise no_such("plan", call.id)
    return price


OPERATIONS = [
    route(
        "POST",
        "/v1/plans",
        create,
        "active amount amount_decimal currency id interval interval_count metadata meter nickname product usage_type "
        "trial_period_days",
    ),
    route("GET", "/v1/plans", list_all, f"{PAGE} active product"),
    route("GET", "/v1/plans/{plan}", retrieve),
    route("POST", "/v1/plans/{plan}", update, "active nickname product metadata"),
    route("DELETE", "/v1/plans/{plan}", delete),
]
