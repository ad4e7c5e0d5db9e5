"""The one place where errors become exit codes (STYLE, “CLI”): no traceback ever reaches an operator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from billing_worker.cli._invocation import Invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import (
    InvalidValueError,
    NotFoundError,
    RefusedError,
    RetryableError,
    TerminalError,
    UnavailableError,
)

if TYPE_CHECKING:
    from billing_worker.cli import _bugs
else:
    _bugs = lazy_module("billing_worker.cli._bugs")

EXIT_DONE = 0
EXIT_DIFFERENCES = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_NOT_FOUND = 4
EXIT_UNAVAILABLE = 5
EXIT_BUG = 70
EXIT_INTERRUPTED = 130
"""The shell's own number for Ctrl-C."""

FAMILIES: tuple[tuple[type[Exception], int], ...] = (
    (InvalidValueError, EXIT_USAGE),
    (RefusedError, EXIT_REFUSED),
    (NotFoundError, EXIT_NOT_FOUND),
    (UnavailableError, EXIT_UNAVAILABLE),
    (RetryableError, EXIT_UNAVAILABLE),
    (TerminalError, EXIT_DIFFERENCES),
)
"""First match wins."""

SERVERS = {
    ("sqlalchemy.exc", "OperationalError"): "PostgreSQL does not answer",
    ("sqlalchemy.exc", "TimeoutError"): "PostgreSQL has no free connection",
    ("psycopg2", "OperationalError"): "PostgreSQL does not answer",
    ("redis.exceptions", "ConnectionError"): "Redis does not answer",
    ("redis.exceptions", "TimeoutError"): "Redis does not answer",
}
"""Errors of drivers that say a server is away; looked up without loading the drivers."""


class DifferencesFound(TerminalError):  # noqa: N818 - it is a result, not a failure
    """The command worked and found differences or failures."""


def run_command(command: click.Command, arguments: Sequence[str], *, program: str, invocation: Invocation) -> int:
    """Run a command line and return its exit code; what went wrong is told on stderr."""
    try:
        result = command.main(args=list(arguments), prog_name=program, standalone_mode=False, obj=invocation)
    except click.UsageError as error:
        return _tell_usage(error)
    except click.ClickException as error:
        return _tell(error.format_message(), EXIT_USAGE)
    except (click.Abort, KeyboardInterrupt):
        return _tell("interrupted", EXIT_INTERRUPTED)
    except BrokenPipeError:  # `nself logs billing | head`
        sys.stderr.close()
        return EXIT_DONE
    except Exception as error:  # noqa: BLE001 - the one place where anything else is caught
        return _tell_failure(error, invocation)
    return result if isinstance(result, int) else EXIT_DONE


def _tell_failure(error: Exception, invocation: Invocation) -> int:
    for family, code in FAMILIES:
        if isinstance(error, family):
            return _tell(str(error) or (type(error).__doc__ or "").partition("\n")[0], code)
    if (server := _server_away(error)) is not None:
        return _tell(f"{server}: {_first_line(error)}; `nself status` shows what runs", EXIT_UNAVAILABLE)
    bug = _bugs.record_bug(error, invocation.environ)
    return _tell(f"internal error, id {bug.id}; its details are in {bug.file}", EXIT_BUG)


def _server_away(error: Exception) -> str | None:
    for (module, name), message in SERVERS.items():
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return message
    return None


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def _tell_usage(error: click.UsageError) -> int:
    hint = f"; see `{error.ctx.command_path} --help`" if error.ctx is not None else ""
    return _tell(error.format_message().rstrip(".") + hint, EXIT_USAGE)


def _tell(message: str, code: int) -> int:
    click.secho(message, err=True, fg="red" if code not in {EXIT_DONE, EXIT_DIFFERENCES} else None)
    return code
