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


class NotSuppressedError(NotFoundError):
    """Mail to this address did not come back: it is written to already."""


class NotABounceError(RefusedError):
    """The message is no report about a message of ours."""


class NothingToTellError(RefusedError):
    """The customer has nothing that the template could tell of."""
