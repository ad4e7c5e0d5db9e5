"""Write to an address again."""

from __future__ import annotations

from sqlalchemy.orm import Session

from billing_worker.domains.notifications.errors import NotSuppressedError
from billing_worker.domains.notifications.queries import find_suppression
from billing_worker.domains.notifications.rules import address_digest


def lift_suppression(session: Session, address: str) -> str:
    """Take an address out of those that are not written to, and return why it was among them.

    Raises: NotSuppressedError when it is not.
    """
    found = find_suppression(session, "", address_digest(address))
    if found is None:
        raise NotSuppressedError("mail to this address did not come back: it is written to already")
    session.delete(found)
    return found.reason
