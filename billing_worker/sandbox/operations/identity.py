"""Identity verification sessions and report runs: as far as their life can be followed without documents."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.resources import Resource, action
from billing_worker.sandbox.core.routes import Call, route


def _start(call: Call, verification: Document) -> None:
    given = call.params.get("options") or {}
    kind = call.params.get("type", "document")
    verification |= {
        "type": kind,
        "options": {kind: given.get(kind) or {}},
        "client_secret": f"{verification['id']}_secret_test_{token(32)}",
        "url": f"https://verify.stripe.com/start/test_{token(32)}",
    }


def _cancel(_: Call, verification: Document) -> None:
    verification |= {"status": "canceled", "client_secret": None, "url": None}


def _redact(call: Call, verification: Document) -> None:
    if verification["status"] != "canceled":
        _cancel(call, verification)
        call.session.tell("identity.verification_session.canceled", verification)
    verification["redaction"] = {"status": "redacted"}


VERIFICATIONS = Resource(
    kind="identity.verification_session",
    url="/v1/identity/verification_sessions",
    blank={
        "client_reference_id": None,
        "last_error": None,
        "last_verification_report": None,
        "redaction": None,
        "related_customer": None,
        "related_customer_account": None,
        "status": "requires_input",
    },
    event="identity.verification_session.created",
    fields="client_reference_id related_customer",
    takes="type options return_url",
    filters="status client_reference_id related_customer",
    prepare=_start,
)
_OPEN = frozenset({"requires_input"})
_ANY = frozenset({"requires_input", "canceled", "verified"})

REPORTS = Resource(
    kind="reporting.report_run",
    url="/v1/reporting/report_runs",
    blank={"error": None, "result": None, "status": "pending", "succeeded_at": None},
    fields="report_type",
    takes="parameters",
    has_metadata=False,
)


def run_report(call: Call) -> Document:
    """Start a report; its file is there as soon as the answer has gone out."""
    session = call.session
    report = session.add(REPORTS.draft(call) | {"parameters": call.params.get("parameters") or {}})
    answer = public(report)
    file_id = new_id("file")
    report |= {
        "status": "succeeded",
        "succeeded_at": session.now,
        "result": {
            "id": file_id,
            "object": "file",
            "created": session.now,
            "expires_at": None,
            "filename": f"{report['id']}.csv",
            "links": None,
            "purpose": "finance_report_run",
            "size": 0,
            "title": f"FileUpload {file_id}",
            "type": "csv",
            "url": f"https://files.stripe.com/v1/files/{file_id}/contents",
        },
    }
    session.tell("reporting.report_run.succeeded", report)
    return answer


OPERATIONS = [
    *VERIFICATIONS.routes(),
    route(
        "POST",
        "/v1/identity/verification_sessions/{session}/cancel",
        action(VERIFICATIONS.kind, "identity.verification_session.canceled", _cancel, allowed=_OPEN),
    ),
    route(
        "POST",
        "/v1/identity/verification_sessions/{session}/redact",
        action(VERIFICATIONS.kind, "identity.verification_session.redacted", _redact, allowed=_ANY),
    ),
    route("POST", REPORTS.url, run_report, "report_type parameters"),
    *REPORTS.reading(),
]
