"""What goes wrong with mail."""

from __future__ import annotations

from billing_worker.kernel.errors import NotFoundError, RefusedError, TerminalError


class NotificationsError(TerminalError):
    """Mail could not be made."""


class MessageNotRenderableError(NotificationsError):
    """A message's parameters do not fit its template."""


class MessageNotFoundError(NotFoundError):
    """No such message."""

    def __init__(self, asked: str) -> None:
        super().__init__(f"no message {asked}; `nself billing email list` shows those there are")


class NothingToTellError(RefusedError):
    """The customer has nothing that the template could tell of."""
