"""Rebuild an object from its stored events, and hold the outcome against the mirror and against Stripe."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.inbox.history import fold_history
from billing_worker.inbox.objects import find_mirrored, mirrored_type
from billing_worker.inbox.rebuilt import AtStripe, Log, Rebuilt, compare_three
from billing_worker.kernel.errors import NotFoundError, RetryableError, TerminalError
from billing_worker.kernel.keys import split_object_key
from billing_worker.mirror.normalise import normalise
from billing_worker.mirror.registry import ObjectType
from billing_worker.stripe_gateway.client import Retrieved
from billing_worker.stripe_gateway.errors import StripeNotFound

_BASELINE = text("SELECT created FROM billing.billing_object_baselines WHERE object_key = :key")


class Retrieving(Protocol):
    """The one call this service makes of the gateway."""

    def retrieve(self, object_type: str, object_id: str, *, account_id: str = "") -> Retrieved:
        """Read one object at Stripe."""
        ...


def rebuild_object(unit_of_work: UnitOfWork, gateway: Retrieving, object_key: str) -> Rebuilt:
    """Fold everything stored of an object, from nothing or from its baseline, and compare; nothing is changed.

    Phases: one transaction that reads; then the call.
    Shape: a Stripe that cannot be asked is told, not raised; log and mirror are compared all the same.
    Raises: NotMirroredError; NotFoundError when neither events nor a row are stored.
    """
    kind = mirrored_type(object_key)
    with unit_of_work.transaction() as session:
        log = _fold(session, kind, object_key)
        mirror = find_mirrored(session, object_key)
    if mirror is None and log.state is None and not (log.waiting or log.pruned or log.left_out):
        raise NotFoundError(f"nothing is stored of {split_object_key(object_key)[2]}")
    return compare_three(kind, object_key, log, mirror, _ask(gateway, kind, object_key))


def _fold(session: Session, kind: ObjectType, object_key: str) -> Log:
    log = Log(baseline_at=session.execute(_BASELINE, {"key": object_key}).scalar_one_or_none())
    for second in fold_history(session, kind, object_key):
        log.add(second)
    return log


def _ask(gateway: Retrieving, kind: ObjectType, object_key: str) -> AtStripe:
    account_id, name, object_id = split_object_key(object_key)
    try:
        data = gateway.retrieve(name, object_id, account_id=account_id).data
    except StripeNotFound:
        return AtStripe()
    except (RetryableError, TerminalError) as error:
        return AtStripe(unknown=str(error))
    return AtStripe(normalise(kind.name, data), deleted=data.get("deleted") is True)
