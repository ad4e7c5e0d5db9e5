from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.stripe_gateway.errors import (
    CardDeclined,
    OutcomeUnknown,
    RateLimited,
    StripeKeyRejected,
    StripeNotFound,
    StripeRefused,
    StripeUnavailable,
    map_error_answer,
)
from billing_worker.stripe_gateway.transport import UndatedAnswerError, observed_at


def mapped(status: int, *, is_change: bool = True, headers: dict[str, str] | None = None, **error: Any) -> Exception:
    return map_error_answer(
        status=status, error=error, headers=headers or {}, is_change=is_change, operation="invoices.pay"
    )


@pytest.mark.parametrize(
    ("status", "error", "for_change", "for_read"),
    [
        (400, {"code": "parameter_unknown", "param": "x"}, StripeRefused, StripeRefused),
        (400, {"code": "resource_missing"}, StripeRefused, StripeRefused),
        (400, {"type": "idempotency_error"}, OutcomeUnknown, StripeUnavailable),
        (401, {}, StripeKeyRejected, StripeKeyRejected),
        (402, {"code": "card_declined"}, CardDeclined, CardDeclined),
        (403, {}, StripeKeyRejected, StripeKeyRejected),
        (404, {"code": "resource_missing"}, StripeNotFound, StripeNotFound),
        (409, {"type": "idempotency_error"}, OutcomeUnknown, StripeUnavailable),
        (429, {"code": "rate_limit"}, RateLimited, RateLimited),
        (400, {"code": "lock_timeout"}, RateLimited, RateLimited),
        (500, {}, OutcomeUnknown, StripeUnavailable),
        (503, {}, OutcomeUnknown, StripeUnavailable),
        (200, {}, OutcomeUnknown, StripeUnavailable),
    ],
)
def test_each_answer_has_one_meaning(
    status: int, error: dict[str, Any], for_change: type[Exception], for_read: type[Exception]
) -> None:
    assert type(mapped(status, **error)) is for_change
    assert type(mapped(status, is_change=False, **error)) is for_read
    assert isinstance(mapped(status, **error), RetryableError | TerminalError)


def test_a_decline_carries_its_codes_and_its_payment() -> None:
    error = mapped(
        402,
        headers={"request-id": "req_1"},
        code="card_declined",
        decline_code="lost_card",
        message="Your card was declined.",
        payment_intent={"id": "pi_1"},
    )
    assert isinstance(error, CardDeclined)
    assert (error.code, error.decline_code, error.payment_intent_id, error.request_id) == (
        "card_declined",
        "lost_card",
        "pi_1",
        "req_1",
    )
    assert str(error) == "invoices.pay: Your card was declined. (request req_1)"


@pytest.mark.parametrize(
    ("status", "headers", "error", "is_spent"),
    [
        (500, {}, {}, False),
        (500, {"idempotent-replayed": "true"}, {}, True),
        (400, {}, {"type": "idempotency_error"}, True),
        (409, {}, {"type": "idempotency_error"}, False),
    ],
)
def test_a_key_is_spent_when_it_can_never_answer_otherwise(
    status: int,
    headers: dict[str, str],
    error: dict[str, Any],
    is_spent: bool,  # noqa: FBT001 - a table's column
) -> None:
    found = mapped(status, headers=headers, **error)
    assert isinstance(found, OutcomeUnknown)
    assert found.key_is_spent is is_spent


@pytest.mark.parametrize(("header", "seconds"), [("2", 2.0), ("0.5", 0.5), ("soon", None), (None, None)])
def test_the_wish_to_wait_is_read_if_it_can_be(header: str | None, seconds: float | None) -> None:
    found = mapped(429, headers={} if header is None else {"retry-after": header})
    assert isinstance(found, RateLimited)
    assert found.retry_after_seconds == seconds


@pytest.mark.parametrize(("elapsed", "second"), [(0.0, 9), (0.99, 9), (1.0, 8), (2.5, 7)])
def test_a_snapshot_claims_no_more_than_the_second_before_its_request(elapsed: float, second: int) -> None:
    assert observed_at("Sun, 01 Mar 2026 12:00:10 GMT", elapsed) == datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC)


@pytest.mark.parametrize("header", ["", "yesterday"])
def test_an_undated_answer_is_refused(header: str) -> None:
    with pytest.raises(UndatedAnswerError):
        observed_at(header, 0)
