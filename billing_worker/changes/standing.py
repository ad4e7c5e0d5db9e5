"""One object as the mirror has it, beside what Stripe says, for commands that show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from billing_worker.inbox.objects import find_mirrored
from billing_worker.kernel.errors import NotFoundError, RetryableError, UnavailableError
from billing_worker.kernel.keys import object_key
from billing_worker.mirror.compare import compare_snapshots
from billing_worker.stripe_gateway.client import StripeGateway
from billing_worker.stripe_gateway.errors import StripeNotFound

IMPORTABLE = frozenset({"customer", "subscription"})
"""Types with an `import` command of their own."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An object in the mirror; `differences` maps fields to (mirror, Stripe) where Stripe was asked."""

    data: Mapping[str, Any]
    version: datetime
    is_deleted: bool
    differences: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    compared: bool = False


def get_standing(session: Session, object_type: str, object_id: str, *, account_id: str = "") -> Standing:
    """Read an object in the mirror.

    Raises: NotFoundError with the command that brings it there.
    """
    found = find_mirrored(session, object_key(account_id, object_type, object_id))
    if found is None:
        way = f"{object_type} import {object_id}" if object_type in IMPORTABLE else "reconcile"
        raise NotFoundError(f"{object_type} {object_id} is not in the mirror; if Stripe has it: `nself billing {way}`")
    return Standing(found.data, found.version, found.deleted)


def compare_standing(gateway: StripeGateway, object_type: str, standing: Standing, *, account_id: str = "") -> Standing:
    """Put Stripe's answer of now beside the mirror's.

    Raises: UnavailableError while Stripe cannot be asked; StripeKeyRejected, StripeRefused.
    """
    try:
        there = gateway.retrieve(object_type, str(standing.data["id"]), account_id=account_id).data
    except StripeNotFound:
        return Standing(
            standing.data, standing.version, standing.is_deleted, {"existence": ("there", "gone")}, compared=True
        )
    except RetryableError as error:
        raise UnavailableError(
            f"Stripe cannot be asked now: {error}; without the comparison the mirror is shown"
        ) from error
    differences = compare_snapshots(object_type, standing.data, there)
    return Standing(standing.data, standing.version, standing.is_deleted, differences, compared=True)
