"""Events, webhook endpoints and the account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from billing_worker.sandbox.core.documents import Document, counted_list
from billing_worker.sandbox.core.errors import invalid, no_such
from billing_worker.sandbox.core.event_log import EventLog, StoredEvent
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.routes import CURSOR, PAGE, Call, route
from billing_worker.sandbox.core.session import Session

_MAX_TYPES = 20


def list_events(call: Call) -> Document:
    """List events of the last 30 days, newest first."""
    params = call.params
    types = set(params.get("types") or [])
    if len(types) > _MAX_TYPES:
        raise invalid(f"You may specify at most {_MAX_TYPES} types.", param="types")
    if types and "type" in params:
        raise invalid("You may pass either type or types, not both.", param="types")
    if "type" in params:
        types = {params["type"]}
    # Only the events of the page are unpacked: finding a cursor far back must not cost a decompression each.
    entries = ({"id": event.event_id, "stored": event} for event in _select(call.events, types, params))
    found = page(entries, params, "/v1/events", kind="event")
    return found | {"data": [entry["stored"].document() | _pending(entry["stored"]) for entry in found["data"]]}


def retrieve_event(call: Call) -> Document:
    """Return an event."""
    event: StoredEvent | None = call.events.find(call.id)
    if event is None:
        raise no_such("event", call.id)
    return event.document() | _pending(event)


def new_endpoint(session: Session, params: dict[str, Any], secret: str) -> Document:
    """Add a webhook endpoint."""
    parts = urlsplit(params["url"])
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise invalid(f"Invalid URL: {params['url']}", param="url", code="url_invalid")
    return session.add(
        {
            "id": new_id("webhook_endpoint"),
            "object": "webhook_endpoint",
            "api_version": params.get("api_version"),
            "application": None,
            "created": session.now,
            "description": params.get("description"),
            "enabled_events": params["enabled_events"],
            "livemode": False,
            "metadata": check_metadata(params.get("metadata")),
            "status": "enabled",
            "url": params["url"],
            "_secret": secret,
        }
    )


def create_endpoint(call: Call) -> Document:
    """Create a webhook endpoint; only this answer shows its secret."""
    secret = f"whsec_{token(32)}"
    return new_endpoint(call.session, call.params, secret) | {"secret": secret}


def update_endpoint(call: Call) -> Document:
    """Update a webhook endpoint."""
    endpoint = call.session.get("webhook_endpoint", call.id)
    assign(endpoint, call.params, "description enabled_events url")
    merge_metadata(endpoint, call.params)
    if "disabled" in call.params:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    return endpoint


def delete_endpoint(call: Call) -> Document:
    """Delete a webhook endpoint."""
    call.session.remove(call.session.get("webhook_endpoint", call.id))
    return {"id": call.id, "object": "webhook_endpoint", "deleted": True}


def account(call: Call) -> Document:
    """Return the account."""
    return {
        "id": call.account_id,
        "object": "account",
        "business_profile": {"mcc": None, "name": "Sandbox", "support_email": None, "support_phone": None, "url": None},
        "business_type": "company",
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "created": 1_700_000_000,
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "external_accounts": counted_list([], "/v1/account/external_accounts"),
        "metadata": {},
        "payouts_enabled": True,
        "settings": _account_settings(),
        "type": "standard",
    }


def _account_settings() -> Document:
    statement = dict.fromkeys(("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji"))
    return {
        "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
        "card_payments": {
            "statement_descriptor_prefix": None,
            "statement_descriptor_prefix_kana": None,
            "statement_descriptor_prefix_kanji": None,
        },
        "dashboard": {"display_name": "Sandbox", "timezone": "Etc/UTC"},
        "payments": statement,
    }


def _pending(event: StoredEvent) -> Document:
    return {"pending_webhooks": len(event.undelivered)}


def _select(log: EventLog, types: set[str], params: dict[str, Any]) -> Iterator[StoredEvent]:
    bound = params.get("created")
    lower = bound.get("gte", bound.get("gt")) if isinstance(bound, dict) else bound
    oldest = int(lower or 0)
    for event in log.newest_first():
        if event.created < oldest:
            # Events lie in order of their time: nothing older can match.
            return
        if types and not any(_is_type(event.type, wanted) for wanted in types):
            continue
        if "delivery_success" in params and params["delivery_success"] == bool(event.undelivered):
            continue
        if in_range(event.created, bound):
            yield event


def _is_type(event_type: str, wanted: str) -> bool:
    return event_type == wanted or (wanted.endswith("*") and event_type.startswith(wanted[:-1]))


OPERATIONS = [
    route("GET", "/v1/events", list_events, f"{PAGE} type types delivery_success"),
    route("GET", "/v1/events/{id}", retrieve_event),
    route("POST", "/v1/webhook_endpoints", create_endpoint, "url enabled_events description metadata api_version"),
    route("GET", "/v1/webhook_endpoints", listing("webhook_endpoint", "/v1/webhook_endpoints"), CURSOR),
    route("GET", "/v1/webhook_endpoints/{webhook_endpoint}", retrieve("webhook_endpoint")),
    route(
        "POST",
        "/v1/webhook_endpoints/{webhook_endpoint}",
        update_endpoint,
        "url enabled_events description metadata disabled",
    ),
    route("DELETE", "/v1/webhook_endpoints/{webhook_endpoint}", delete_endpoint),
    route("GET", "/v1/account", account),
]
