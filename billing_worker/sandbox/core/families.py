"""What most object families have in common: retrieve, list, update of plain fields, metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billing_worker.sandbox.core.documents import Document, reference
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.pagination import in_range, page
from billing_worker.sandbox.core.routes import Call, Handler


def retrieve(kind: str) -> Handler:
    """Make the operation that returns one object."""
    return lambda call: call.session.get(kind, call.id)


def listing(
    kind: str, url: str, *filters: str, where: Callable[[Document, dict[str, Any]], bool] | None = None
) -> Handler:
    """Make the operation that lists objects; `filters` are parameters compared with the field of their name."""

    def handle(call: Call) -> Document:
        params = call.params

        def wanted(document: Document) -> bool:
            return (
                in_range(document.get("created"), params.get("created"))
                and all(name not in params or reference(document.get(name)) == params[name] for name in filters)
                and (where is None or where(document, params))
            )

        found = (document for document in call.session.store.newest_first(kind) if wanted(document))
        return page(found, params, url, kind=kind)

    return handle


def assign(document: Document, params: dict[str, Any], fields: str) -> None:
    """Set plain fields; an empty string unsets."""
    for name in fields.split():
        if name in params:
            document[name] = None if params[name] == "" else params[name]


def merge(document: Document, params: dict[str, Any], *fields: str) -> None:
    """Set some keys of nested hashes and leave their other keys alone."""
    for name in fields:
        if name in params:
            given = params[name] or {}
            cleared = {key: None if value == "" else value for key, value in given.items()}
            document[name] = (document[name] or {}) | cleared


def merge_metadata(document: Document, params: dict[str, Any]) -> None:
    """Add, replace and, by empty values, remove metadata; an empty string removes all of it."""
    if "metadata" not in params:
        return
    given = params["metadata"]
    merged = {} if given == "" else {**document["metadata"], **given}
    document["metadata"] = {key: value for key, value in merged.items() if value != ""}
    check_metadata(document["metadata"])


def check_metadata(metadata: Document | None) -> Document:
    """Refuse metadata beyond Stripe's limits: 50 keys of 40 characters, values of 500."""
    metadata = metadata or {}
    max_keys, max_key, max_value = 50, 40, 500
    if len(metadata) > max_keys:
        raise invalid(f"You can only have {max_keys} metadata keys.", param="metadata")
    for key, value in metadata.items():
        if len(key) > max_key:
            raise invalid(
                f"Metadata keys must be {max_key} characters or less (you passed one with {len(key)}).",
                param="metadata",
                code="parameter_invalid_string",
            )
        if len(value) > max_value:
            raise invalid(
                f"Metadata values can have up to {max_value} characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:40]}…",
                param=f"metadata[{key}]",
            )
    return {key: value for key, value in metadata.items() if value != ""}
