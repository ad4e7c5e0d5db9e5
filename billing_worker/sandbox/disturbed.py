"""The API with the faults that were asked for in front of it."""

from __future__ import annotations

from dataclasses import replace

from billing_worker.sandbox.api import Api, Request, Response
from billing_worker.sandbox.core.access import key_in
from billing_worker.sandbox.core.errors import ApiError
from billing_worker.sandbox.core.faults import KINDS, Fault, Faults, rate_limited
from billing_worker.sandbox.core.identifiers import new_id
from billing_worker.sandbox.core.rate_limits import RateLimits
from billing_worker.sandbox.core.wire import encode_json


class DisturbedApi:
    """Answers as Stripe does on a bad day; without faults and limits it only passes requests on."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.faults = Faults()
        self.limits = RateLimits()

    def answer(self, request: Request) -> Response:
        """Answer a request, or fail as told.

        Order: limits come before faults, faults before the API: a refused request reaches nothing behind it.
        """
        reason = self.limits.refuses(request.method, self._api.endpoint_of(request))
        if reason is not None:
            refused = _refusal(rate_limited())
            return replace(refused, headers={**refused.headers, "Stripe-Rate-Limited-Reason": reason})
        key = key_in(request.headers.get("authorization", ""))
        fault = self.faults.draw(request.method, request.path, key)
        return self._api.answer(request) if fault is None else self._fail(request, fault, key)

    def _fail(self, request: Request, fault: Fault, key: str) -> Response:
        kind = KINDS[fault.kind]
        error = None if kind.error is None else kind.error(key)
        if kind.applies:
            response = self._api.answer(request, spoiled_by=error)
        else:
            response = _refusal(error or ApiError("never sent", status=500))
        return replace(response, ending=kind.ending, hold_seconds=fault.seconds if kind.takes_time else 0.0)


def _refusal(error: ApiError) -> Response:
    headers = {"Request-Id": new_id("request")}
    if error.code == "lock_timeout":
        headers["Stripe-Should-Retry"] = "true"
    return Response(error.status, encode_json(error.body()), headers)
