"""The two families of errors that decide what happens to a unit of work."""

from __future__ import annotations


class BillingError(Exception):
    """Something the system recognises went wrong."""


class RetryableError(BillingError):
    """The same call may succeed later: back off and try again, a bounded number of times."""


class TerminalError(BillingError):
    """Trying again cannot help: record it and tell an operator."""


class RefusedError(TerminalError):
    """The request is understood and not carried out, for a reason the message gives."""


class NotFoundError(TerminalError):
    """The named object does not exist here."""


class UnavailableError(TerminalError):
    """What was asked for cannot be done in this installation or release."""


class InvalidValueError(TerminalError):
    """A value breaks a rule; the message names the value, the rule and a right example."""
