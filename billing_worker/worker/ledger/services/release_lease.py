"""Give a leader lease back."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.worker.ledger import queries


def release_lease(session: Session, *, name: str, holder: str) -> None:
    """Give up a lease, so that the next leader need not wait for its expiry; somebody else's lease is left alone."""
    queries.delete_lease(session, name=name, holder=holder)
