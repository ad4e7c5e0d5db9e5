"""Event destinations and thin events of the v2 API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode, urlsplit

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.pagination import check_limit
from billing_worker.sandbox.core.routes import Call, route
from billing_worker.sandbox.core.session import DESTINATION
from billing_worker.sandbox.engine.thin_events import KIND, PING, add_event, iso

_PAGE = 20


def create(call: Call) -> Document:
    """Add a destination; its signing secret is in this answer only, when it is included."""
    params, now = call.params, call.session.recorded_at
    if params["type"] != "webhook_endpoint" or params["event_payload"] != "thin":
        raise invalid(
            "The sandbox sends thin events to webhook endpoints only; snapshots go to /v1/webhook_endpoints.",
            param="event_payload" if params["type"] == "webhook_endpoint" else "type",
            code="sandbox_not_simulated",
        )
    url = _checked_url((params.get("webhook_endpoint") or {}).get("url", ""))
    destination = call.session.add(
        {
            "id": f"ed_test_{token(24)}",
            "object": DESTINATION,
            "created": iso(now),
            "description": params.get("description", ""),
            "enabled_events": params["enabled_events"],
            "event_payload": "thin",
            "events_from": params.get("events_from") or ["self"],
            "livemode": False,
            "metadata": check_metadata(params.get("metadata")),
            "name": params["name"],
            "snapshot_api_version": None,
            "status": "enabled",
            "status_details": None,
            "type": "webhook_endpoint",
            "updated": iso(now),
            "webhook_endpoint": {"signing_secret": None, "url": None},
            "_url": url,
            "_secret": f"whsec_{token(32)}",
        }
    )
    return _shown(destination, params.get("include"), is_new=True)


def show(call: Call) -> Document:
    """Return a destination."""
    return _shown(call.session.get(DESTINATION, call.id), call.params.get("include"))


def update(call: Call) -> Document:
    """Update a destination."""
    destination = call.session.get(DESTINATION, call.id)
    assign(destination, call.params, "description enabled_events name")
    merge_metadata(destination, call.params)
    if url := (call.params.get("webhook_endpoint") or {}).get("url"):
        destination["_url"] = _checked_url(url)
    destination["updated"] = iso(call.session.recorded_at)
    return _shown(destination, call.params.get("include"))


def delete(call: Call) -> Document:
    """Delete a destination."""
    call.session.remove(call.session.get(DESTINATION, call.id))
    return {"id": call.id, "object": DESTINATION}


def disable(call: Call) -> Document:
    """Let a destination rest."""
    destination = call.session.get(DESTINATION, call.id)
    destination |= {"status": "disabled", "status_details": {"disabled": {"reason": "user"}}}
    return destination


def enable(call: Call) -> Document:
    """Let a destination receive again."""
    destination = call.session.get(DESTINATION, call.id)
    destination |= {"status": "enabled", "status_details": None}
    return destination


def ping(call: Call) -> Document:
    """Send a destination an event that says no more than that it is reached."""
    destination = call.session.get(DESTINATION, call.id)
    related = {"id": call.id, "type": DESTINATION, "url": f"/v2/core/event_destinations/{call.id}"}
    event = add_event(call.session, PING, None, related)
    call.session.notices[-1]["_only_to"] = destination["id"]
    return event


def list_destinations(call: Call) -> Document:
    """List destinations, newest first."""
    found = call.session.store.newest_first(DESTINATION)
    return _page(call, (_shown(one, call.params.get("include")) for one in found), "/v2/core/event_destinations")


def list_events(call: Call) -> Document:
    """List thin events, newest first."""
    params = call.params
    bounds, types, object_id = params.get("created") or {}, params.get("types"), params.get("object_id")

    def wanted(event: Document) -> bool:
        return (
            (types is None or event["type"] in types)
            and (object_id is None or (event.get("related_object") or {}).get("id") == object_id)
            and all(_COMPARED[name](event["created"], bound) for name, bound in bounds.items())
        )

    found = (public(event) for event in call.session.store.newest_first(KIND) if wanted(event))
    return _page(call, found, "/v2/core/events")


_COMPARED = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
"""Instants in the v2 API's form sort as text."""


def _page(call: Call, found: Iterable[Document], url: str) -> Document:
    limit, documents = check_limit(call.params.get("limit", _PAGE)), list(found)
    start = int(call.params.get("page", 0))
    rest: dict[str, Any] = {name: value for name, value in call.params.items() if isinstance(value, str | int)}
    following = f"{url}?{urlencode(rest | {'limit': limit, 'page': start + limit})}"
    preceding = f"{url}?{urlencode(rest | {'limit': limit, 'page': max(start - limit, 0)})}"
    return {
        "data": documents[start : start + limit],
        "next_page_url": following if start + limit < len(documents) else None,
        "previous_page_url": preceding if start else None,
    }


def _shown(destination: Document, include: list[str] | None, *, is_new: bool = False) -> Document:
    included = {
        "url": destination["_url"] if "webhook_endpoint.url" in (include or []) else None,
        "signing_secret": destination["_secret"]
        if is_new and "webhook_endpoint.signing_secret" in (include or [])
        else None,
    }
    return public(destination) | {"webhook_endpoint": included}


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise invalid(f"Invalid URL: {url}", param="webhook_endpoint[url]", code="url_invalid")
    return url


_CREATE = "description enabled_events event_payload events_from include metadata name type webhook_endpoint"
_ONE = "/v2/core/event_destinations/{id}"
OPERATIONS = [
    route("POST", "/v2/core/event_destinations", create, _CREATE),
    route("GET", "/v2/core/event_destinations", list_destinations, "include limit"),
    route("GET", _ONE, show, "include"),
    route("POST", _ONE, update, "description enabled_events include metadata name webhook_endpoint"),
    route("DELETE", _ONE, delete),
    route("POST", f"{_ONE}/disable", disable),
    route("POST", f"{_ONE}/enable", enable),
    route("POST", f"{_ONE}/ping", ping),
    route("GET", "/v2/core/events", list_events, "created limit object_id types"),
    route("GET", "/v2/core/events/{id}", retrieve(KIND)),
]
