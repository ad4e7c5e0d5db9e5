"""What goes wrong with invoices on paper."""

from __future__ import annotations

from billing_worker.kernel.errors import RefusedError, TerminalError, UnavailableError


class InvoicesError(TerminalError):
    """An invoice could not be put on paper."""


class TypesettingError(InvoicesError):
    """The typesetter gave no document; its message says why and what to do."""


class TemplateMissingError(RefusedError):
    """The folder of the template has no template."""


class PdfBusyError(UnavailableError):
    """Another process is rendering the same PDF."""
