"""Answers say when to come back."""

from __future__ import annotations

import json

import pytest

from webhook_receiver.answers import RETRY_AFTER_SECONDS, answer


@pytest.mark.parametrize(
    ("status", "after"), [(200, None), (400, None), (429, str(RETRY_AFTER_SECONDS)), (503, str(RETRY_AFTER_SECONDS))]
)
def test_who_should_come_back_is_told_when(status: int, after: str | None) -> None:
    response = answer(status, {"received": False, "reason": "why"})
    assert (response.status_code, response.headers.get("Retry-After")) == (status, after)
    assert (response.content_type, json.loads(response.get_data())["reason"]) == ("application/json", "why")
