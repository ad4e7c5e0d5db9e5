"""Refusals in the shape of Stripe's error object."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document

_NOUNS = {
    "payment_method": "PaymentMethod",
    "setup_intent": "setupintent",
    "invoiceitem": "invoice item",
    "webhook_endpoint": "webhook endpoint",
    "balance_transaction": "balance transaction",
    "subscription_item": "subscription item",
    "invoice_payment": "invoice payment",
    "billing.meter": "meter",
    "test_helpers.test_clock": "testhelpers.testclock",
    "checkout.session": "checkout session",
    "credit_note": "credit note",
    "promotion_code": "promotion code",
    "tax_rate": "tax rate",
    "tax_id": "tax id",
    "subscription_schedule": "subscription_schedule",
    "payment_link": "payment link",
    "billing_portal.configuration": "configuration",
    "identity.verification_session": "verification session",
    "reporting.report_run": "report run",
}


_UNDOCUMENTED = frozenset({"sandbox_not_simulated", "property_expansion_max_depth"})
"""Codes without a page of their own."""


class ApiError(Exception):
    """The request is answered with an error object.

    Shape: `keeps_changes` says that what happened so far stays (a declined charge is a fact); without `is_executed`
    the request counts as refused before it began, so that its idempotency key is still free.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        extra: Document | None = None,
        keeps_changes: bool = False,
        is_executed: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.extra = extra or {}
        self.keeps_changes = keeps_changes
        self.is_executed = is_executed and not (code or "").startswith("parameter_")

    def body(self, request_log_url: str | None = None) -> Document:
        """Build the answer's body."""
        error: Document = {"message": self.message, "type": self.kind}
        if self.code:
            error["code"] = self.code
        if self.code and self.code not in _UNDOCUMENTED:
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        if request_log_url is not None:
            error["request_log_url"] = request_log_url
        return {"error": dict(sorted((error | self.extra).items()))}


def invalid(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Make the error of a request that cannot be carried out."""
    return ApiError(message, param=param, code=code)


def no_such(kind: str, object_id: str, *, param: str | None = None) -> ApiError:
    """Make the error of a reference to nothing: 404 in the path, 400 in a parameter, as at Stripe."""
    noun = _NOUNS.get(kind, kind)
    return ApiError(
        f"No such {noun}: '{object_id}'",
        status=400 if param else 404,
        code="resource_missing",
        param=param or "id",
        is_executed=False,
    )


def unauthorized(message: str) -> ApiError:
    """Make the error of a missing or wrong API key."""
    return ApiError(message, status=401)


def unknown_url(method: str, path: str) -> ApiError:
    """Make the error of a path that is no operation."""
    hint = ""
    if path.endswith("/") or "//" in path:
        hint = (
            " If you are trying to list objects, remove the trailing slash. If you are trying to retrieve an object, "
            "make sure you passed a valid (non-empty) identifier in your code."
        )
    return ApiError(
        f"Unrecognized request URL ({method}: {path}).{hint} Please see https://stripe.com/docs or we can help at "
        "https://support.stripe.com/.",
        status=404,
    )
