"""Show the next invoice as it would be after a change."""

from __future__ import annotations

from billing_worker.cli.billing.subscription._previewed import preview_command

command = preview_command(
    "Show the next invoice line by line as it would be after a change; nothing is changed.",
    "`nself billing subscription update` with the same values and the same --proration-date then bills exactly this.",
    shows_lines=True,
)
