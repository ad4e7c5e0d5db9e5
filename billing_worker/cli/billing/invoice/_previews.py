"""How an invoice that does not exist yet is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_worker.cli._output import show_facts, show_rows
from billing_worker.cli.billing.subscription._facts import line_rows, preview_facts

if TYPE_CHECKING:
    from billing_worker.domains.subscriptions.previews import Preview


def show_preview(preview: Preview, *, as_json: bool) -> None:
    """Show totals and lines."""
    facts = preview_facts(preview)
    if as_json:
        show_facts(facts, as_json=True)
        return
    show_facts({**facts, "lines": len(preview.lines)}, as_json=False)
    show_rows(line_rows(preview.lines), as_json=False)
