"""Show what a change of a subscription would do to its next invoice."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._previewed import preview_command

command = preview_command(
    "Show by how much the next invoice would change; nothing is changed.",
    "`preview-change` shows the invoice line by line.",
    shows_lines=False,
)
