"""A change of Stripe's state as a value, what became of it, and how it can be refused."""

# ruff: noqa: N818 - errors are named by the fact, and the family is their base class

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from billing_worker.kernel.errors import RefusedError, RetryableError, TerminalError
from billing_worker.kernel.keys import object_key
from billing_worker.stripe_gateway.operations import operation_named


@dataclass(frozen=True, slots=True)
class Change:
    """One change of Stripe's state, exactly as it will be sent.

    Shape: `body` without None values is what is sent; `object_id` fills the path's `{id}`; `about` is the object key of
    what it is about, of which two equal changes are never under way at once: the changed object's unless given, for a
    new object its parent's or its user's; without any, equal creations count as one while the first is under way.
    """

    operation: str
    body: Mapping[str, Any] = field(default_factory=dict)
    object_id: str | None = None
    about: str | None = None
    customer_id: str | None = None
    account_id: str = ""

    @property
    def path_ids(self) -> dict[str, str]:
        """Return what fills the path."""
        return {} if self.object_id is None else {"id": self.object_id}

    @property
    def parameters(self) -> dict[str, Any]:
        """Return what is sent."""
        return {name: value for name, value in self.body.items() if value is not None}

    @property
    def parent_key(self) -> str:
        """Return the object key under which equal changes are recognised."""
        if self.about is not None:
            return self.about
        answers = operation_named(self.operation).answers
        if self.object_id is not None:
            return object_key(self.account_id, answers, self.object_id)
        content = json.dumps(self.parameters, sort_keys=True, separators=(",", ":"))
        return object_key(self.account_id, answers, f"new-{sha256(content.encode()).hexdigest()[:16]}")


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a change.

    Shape: `data` is Stripe's object. `is_mirrored` says that the mirror has it; otherwise it follows when its lane has
    caught up. `would_call` is set, and nothing else, when the door was opened for a dry run.
    """

    stripe_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    intent_id: UUID | None = None
    is_mirrored: bool = False
    would_call: str = ""

    @property
    def is_planned(self) -> bool:
        """Say whether this was a dry run."""
        return bool(self.would_call)


class Verdict(StrEnum):
    """What an operator found out about a parked intent."""

    HAPPENED = "happened"
    NEVER = "never"
    AGAIN = "again"


class ChangeRefused(RefusedError):
    """Stripe, or the state of this installation, does not allow the change; nothing was changed."""


class ChangeDeclined(TerminalError):
    """The bank or Stripe declined the payment that the change needs.

    `decline_code` is the bank's word, `stripe_id` the payment intent or object at Stripe that shows it.
    """

    def __init__(self, message: str, *, decline_code: str | None, stripe_id: str | None) -> None:
        super().__init__(message)
        self.decline_code = decline_code
        self.stripe_id = stripe_id


class StripeAway(RetryableError):
    """Stripe could not be asked; nothing was changed and nothing is left to do."""


class ChangeUnsettled(RetryableError):
    """The change may have happened at Stripe or not; workers are finding out under the same key."""
