"""`invoice audit`, `invoice preview` and `invoice recalculate`: an invoice beside everything behind it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._output import show_facts, show_rows
from billing_worker.cli.billing.invoice._facts import invoice_facts, line_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy.orm import Session

    from billing_worker.domains.invoices import rules
    from billing_worker.domains.invoices.rules import Finding
    from billing_worker.domains.invoices.services import collect_evidence
    from billing_worker.domains.usage.services import load_metrics
    from billing_worker.runtime.settings import Settings
else:
    rules = lazy_module("billing_worker.domains.invoices.rules")
    collect_evidence = lazy_module("billing_worker.domains.invoices.services.collect_evidence")
    load_metrics = lazy_module("billing_worker.domains.usage.services.load_metrics")


def audit(session: Session, settings: Settings, invoice: Mapping[str, Any]) -> list[Finding]:
    """Hold an invoice against our rows."""
    evidence = collect_evidence.collect_evidence(
        session,
        invoice,
        metrics=load_metrics.load_metrics(),
        zone=settings.billing_timezone,
        minimum_charge_minor=settings.billing_minimum_charge,
    )
    return rules.audit_invoice(invoice, evidence)


def show_audit(invoice: Mapping[str, Any], findings: list[Finding], *, as_json: bool, with_lines: bool = False) -> int:
    """Show an invoice with its findings and return how many do not fit."""
    wrong = sum(1 for finding in findings if finding.verdict is rules.Verdict.DIFFERS)
    rows = [asdict(finding) for finding in findings]
    facts = {**invoice_facts(invoice), "checks": len(findings), "do_not_fit": wrong}
    if as_json:
        more = {"line_items": line_rows(invoice)} if with_lines else {}
        show_facts({**facts, **more, "findings": rows}, as_json=True)
        return wrong
    show_facts(facts, as_json=False)
    if with_lines:
        show_rows(line_rows(invoice), as_json=False, empty="it has no lines")
    show_rows(rows, as_json=False)
    return wrong
