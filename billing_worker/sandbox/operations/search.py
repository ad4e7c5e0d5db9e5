"""Search over seven resources. Unlike Stripe's, what was just written is found at once."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from itertools import islice

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.pagination import DEFAULT_LIMIT, check_limit
from billing_worker.sandbox.core.queries import FieldType, SearchField, parse_query
from billing_worker.sandbox.core.routes import Call, Handler, Route, route


def _fields(*, whole: str = "", text: str = "", numeric: str = "", **paths: str) -> dict[str, SearchField]:
    typed = ((FieldType.TOKEN, whole), (FieldType.STRING, text), (FieldType.NUMERIC, numeric))
    return {name: SearchField(kind, paths.get(name, name)) for kind, names in typed for name in names.split()}


_CARD = "payment_method_details.card"
FIELDS: Mapping[tuple[str, str], Mapping[str, SearchField]] = {
    ("charge", "charges"): _fields(
        whole=(
            f"billing_details.address.postal_code currency customer disputed metadata refunded status {_CARD}.brand "
            f"{_CARD}.fingerprint {_CARD}.last4"
        ),
        numeric=f"amount created {_CARD}.exp_month {_CARD}.exp_year",
    ),
    ("customer", "customers"): _fields(whole="metadata", text="email name phone", numeric="created"),
    ("invoice", "invoices"): _fields(
        whole="currency customer metadata status last_finalization_error_code last_finalization_error_type",
        text="number receipt_number subscription",
        numeric="created total",
        subscription="parent.subscription_details.subscription",
        last_finalization_error_code="last_finalization_error.code",
        last_finalization_error_type="last_finalization_error.type",
    ),
    ("payment_intent", "payment_intents"): _fields(whole="currency customer metadata status", numeric="amount created"),
    ("price", "prices"): _fields(whole="active currency lookup_key metadata product type"),
    ("product", "products"): _fields(whole="active metadata shippable", text="description name url"),
    ("subscription", "subscriptions"): _fields(whole="metadata status", numeric="canceled_at created"),
}
"""Source: Stripe documentation, “Search”, query fields."""


def _searching(kind: str, resource: str) -> Handler:
    """Make the operation that searches a resource."""

    def handle(call: Call) -> Document:
        params = call.params
        limit = check_limit(params.get("limit", DEFAULT_LIMIT))
        matches = parse_query(params["query"], FIELDS[kind, resource], resource)
        found = (document for document in call.session.store.newest_first(kind) if matches(document))
        skipped = _offset(params.get("page"), params["query"])
        cut = list(islice(found, skipped, skipped + limit + 1))
        has_more = len(cut) > limit
        result = {
            "object": "search_result",
            "data": [public(document) for document in cut[:limit]],
            "has_more": has_more,
            "next_page": _cursor(skipped + limit, params["query"]) if has_more else None,
            "url": f"/v1/{resource}/search",
        }
        if "total_count" in (params.get("expand") or []):
            result["total_count"] = skipped + len(cut) + sum(1 for _ in found)
        return result

    return handle


def _cursor(offset: int, query: str) -> str:
    return urlsafe_b64encode(f"{offset}:{query}".encode()).decode()


def _offset(page: str | None, query: str) -> int:
    if page is None:
        return 0
    try:
        offset, _, of_query = urlsafe_b64decode(page).decode().partition(":")
        if of_query == query:
            return int(offset)
    except ValueError as error:
        raise invalid("Invalid page: pass the next_page of a previous answer.", param="page") from error
    raise invalid("This page belongs to another query.", param="page")


OPERATIONS: list[Route] = [
    route("GET", f"/v1/{resource}/search", _searching(kind, resource), "query limit page") for kind, resource in FIELDS
]
