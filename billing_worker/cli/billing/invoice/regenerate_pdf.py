"""Render an invoice again."""

from __future__ import annotations

from billing_worker.cli.billing.invoice._pdf import rendering_command

command = rendering_command(
    "Render an invoice as PDF again, stored or not.",
    "For another font or a mended template; the same content and template give the same PDF.",
    again=True,
)
