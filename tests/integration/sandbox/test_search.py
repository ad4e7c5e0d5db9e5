"""Search through the SDK: every resource, pages, counts; and filters by creation in every list that has them."""

from __future__ import annotations

import pytest
import stripe

from billing_worker.sandbox.api import TABLES
from billing_worker.stripe_gateway.schema import operation
from tests.integration.sandbox.process import Sandbox

LISTS_BY_CREATION = [
    route
    for table in TABLES
    for route in table
    if route.method == "GET"
    and "{" not in route.path
    and (known := operation("GET", route.path)) is not None
    and "created" in known.fields
]


def test_every_resource_is_found_by_its_fields(fresh: Sandbox) -> None:
    payer = fresh.payer(metadata={"order": "7"})
    price = fresh.price(1200, lookup_key="gold")
    subscription = fresh.v1.subscriptions.create(
        {"customer": payer.id, "items": [{"price": price.id}], "metadata": {"order": "7"}}
    )
    found = {
        "customers": "email:'payer@example.com' AND metadata['order']:'7'",
        "subscriptions": "status:'active' metadata['order']:'7'",
        "invoices": f"subscription:'{subscription.id}' total>=1200",
        "charges": "payment_method_details.card.last4:4242 status:'succeeded'",
        "payment_intents": f"customer:'{payer.id}' amount:1200",
        "prices": "lookup_key:'gold'",
        "products": "name~'plan' active:'true'",
    }
    for resource, query in found.items():
        result = getattr(fresh.v1, resource).search({"query": query})
        assert (result.object, len(result.data), result.has_more) == ("search_result", 1, False), resource
        missed = getattr(fresh.v1, resource).search({"query": "metadata['order']:'8'"})
        assert missed.data == [], resource


def test_pages_follow_each_other_and_are_counted(fresh: Sandbox) -> None:
    for number in range(25):
        fresh.v1.customers.create({"name": f"Number {number}", "metadata": {"odd": str(number % 2)}})
    query = "metadata['odd']:'1'"
    first = fresh.v1.customers.search({"query": query, "limit": 5, "expand": ["total_count"]})
    assert (len(first.data), first.has_more, first.total_count) == (5, True, 12)
    names = [customer.name for customer in first.auto_paging_iter()]
    assert names == [f"Number {number}" for number in range(23, 0, -2)]
    for page in ("nonsense", "%%"):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            fresh.v1.customers.search({"query": query, "page": page})
        assert refused.value.param == "page"
    with pytest.raises(stripe.InvalidRequestError) as other:
        fresh.v1.customers.search({"query": "name:'x'", "page": first.next_page})
    assert other.value.param == "page"


@pytest.mark.parametrize("path", [route.path for route in LISTS_BY_CREATION])
def test_every_list_filters_by_creation_where_stripes_does(sandbox: Sandbox, path: str) -> None:
    answer = sandbox.raw("GET", path, params={"created[gte]": 4102444800})
    assert (answer.status_code, answer.json()["data"]) == (200, []), answer.text


def test_creation_cuts_exactly(fresh: Sandbox) -> None:
    first = fresh.v1.customers.create({"name": "first"})
    fresh.advance(seconds=10)
    second = fresh.v1.customers.create({"name": "second"})

    def names(**bounds: int) -> list[str | None]:
        return [customer.name for customer in fresh.v1.customers.list({"created": bounds}).data]

    assert names(gt=first.created) == ["second"]
    assert names(gte=first.created) == ["second", "first"]
    assert names(lt=second.created) == ["first"]
    assert names(gte=first.created, lte=first.created) == ["first"]


def test_a_deleted_customer_is_a_stub_wherever_it_is_expanded(fresh: Sandbox) -> None:
    payer, price = fresh.payer(), fresh.price()
    subscription = fresh.v1.subscriptions.create({"customer": payer.id, "items": [{"price": price.id}]})
    fresh.v1.customers.delete(payer.id)
    stub = {"id": payer.id, "object": "customer", "deleted": True}
    assert fresh.raw("GET", f"/v1/customers/{payer.id}").json() == stub
    invoice = fresh.raw("GET", f"/v1/invoices/{subscription.latest_invoice}", params={"expand[]": "customer"}).json()
    assert invoice["customer"] == stub
    assert fresh.v1.customers.search({"query": "email:'payer@example.com'"}).data == []
