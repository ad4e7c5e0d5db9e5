"""Objects that mostly keep what they are given: create, retrieve, update and list from one description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, listing, merge_metadata, retrieve
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.routes import PAGE, Call, Route, route

Prepare = Callable[[Call, Document], None]
"""Completes a document from the parameters, before anybody is told of it."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of object.

    Shape: `fields` are plain and may be given at creation, `changeable` ones later too; `takes` and `changes` name the
    further parameters that the two hooks give a meaning to; `filters` are what lists are filtered by.
    """

    kind: str
    url: str
    blank: Document
    event: str | None = None
    fields: str = ""
    changeable: str = ""
    takes: str = ""
    changes: str = ""
    filters: str = ""
    prepare: Prepare | None = None
    revise: Prepare | None = None
    has_metadata: bool = field(default=True)
    has_created: bool = field(default=True)
    filters_created: bool = field(default=True)

    def create(self, call: Call) -> Document:
        """Create an object, and tell of it."""
        document = self.draft(call)
        if self.prepare is not None:
            self.prepare(call, document)
        return call.session.add(document, self.event)

    def update(self, call: Call) -> Document:
        """Update an object; its kind's update event follows by itself."""
        document = call.session.get(self.kind, call.id)
        assign(document, call.params, self.changeable)
        if self.has_metadata:
            merge_metadata(document, call.params)
        if self.revise is not None:
            self.revise(call, document)
        call.session.tell_changes(document)
        return document

    def draft(self, call: Call) -> Document:
        """Build an object from the plain parameters, not yet added."""
        document: Document = clone(self.blank)
        document |= {"id": new_id(self.kind), "object": self.kind, "livemode": False}
        if self.has_created:
            document["created"] = call.session.now
        assign(document, call.params, self.fields)
        if self.has_metadata:
            document["metadata"] = check_metadata(call.params.get("metadata"))
        return document

    def creating(self) -> Route:
        """Make the line of the operations table for creation."""
        metadata = "metadata" if self.has_metadata else ""
        return route("POST", self.url, self.create, f"{self.fields} {self.takes} {metadata}")

    def reading(self) -> list[Route]:
        """Make the lines for one object and for all."""
        listed = listing(self.kind, self.url, *self.filters.split())
        page = PAGE if self.filters_created else PAGE.replace("created", "")
        return [
            route("GET", self.url, listed, f"{page} {self.filters}"),
            route("GET", f"{self.url}/{{id}}", retrieve(self.kind)),
        ]

    def updating(self) -> Route:
        """Make the line for changes."""
        metadata = "metadata" if self.has_metadata else ""
        return route("POST", f"{self.url}/{{id}}", self.update, f"{self.changeable} {self.changes} {metadata}")

    def routes(self) -> list[Route]:
        """Make the four usual lines."""
        return [self.creating(), *self.reading(), self.updating()]


def action(
    kind: str,
    event: str | None,
    act: Callable[[Call, Document], None],
    *,
    allowed: frozenset[str],
    code: str | None = None,
) -> Callable[[Call], Document]:
    """Make an operation on one object that needs one of some states.

    Raises: ApiError when the object is in another state.
    """

    def handle(call: Call) -> Document:
        document = call.session.get(kind, call.id)
        if document["status"] not in allowed:
            states = ", ".join(sorted(allowed))
            raise invalid(
                f"This {kind.replace('_', ' ')} has a status of {document['status']}; the operation needs one of: "
                f"{states}.",
                code=code,
            )
        act(call, document)
        if event is not None:
            call.session.tell(event, document)
        return document

    return handle
