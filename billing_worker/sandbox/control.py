"""What moves the sandbox from outside: clock, settings, deliveries, faults. Under /_sandbox, without a key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from billing_worker.sandbox.api import Request, Response, decode_json_object
from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.errors import ApiError, unknown_url
from billing_worker.sandbox.core.session import Settings
from billing_worker.sandbox.core.wire import encode_json
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.disturbed import DisturbedApi
from billing_worker.sandbox.engine.thin_events import METER_ERRORS, NO_METER, report_usage_errors
from billing_worker.sandbox.operations.authentications import authenticate

_MAX_STEP_SECONDS = 3 * 366 * 86_400
_AFTER_RETRIES = frozenset({"cancel", "past_due", "unpaid"})
_AUTHENTICATION = 'give {"intent": "pi_… or seti_…", "succeeds": true or false}'
_DEFAULT_WAIT_SECONDS = 30
_MAX_WAIT_SECONDS = 600

Answer = tuple[int, Document]


class Control:
    """Answers requests under /_sandbox."""

    def __init__(self, world: World, disturbed: DisturbedApi) -> None:
        self._world = world
        self._disturbed = disturbed
        self._routes: dict[tuple[str, str], Callable[[Document], Answer]] = {
            ("GET", "/_sandbox/health"): self._health,
            ("GET", "/_sandbox/clock"): self._clock,
            ("POST", "/_sandbox/clock"): self._move_clock,
            ("GET", "/_sandbox/settings"): self._settings,
            ("POST", "/_sandbox/settings"): self._configure,
            ("GET", "/_sandbox/deliveries"): self._deliveries,
            ("POST", "/_sandbox/deliveries"): self._disturb,
            ("POST", "/_sandbox/deliveries/flush"): self._flush,
            ("POST", "/_sandbox/deliveries/wait"): self._wait,
            ("GET", "/_sandbox/faults"): self._faults,
            ("POST", "/_sandbox/faults"): self._add_fault,
            ("POST", "/_sandbox/faults/clear"): self._clear_faults,
            ("POST", "/_sandbox/test_clocks/wait"): self._wait_for_clocks,
            ("POST", "/_sandbox/authentications"): self._authenticate,
            ("POST", "/_sandbox/webhooks/emit"): self._emit,
            ("POST", "/_sandbox/thin_events"): self._thin_event,
            ("GET", "/_sandbox/state/hash"): self._hash,
        }

    def answer(self, request: Request) -> Response:
        """Answer a request."""
        try:
            handle = self._routes.get((request.method, request.path))
            if handle is None:
                raise unknown_url(request.method, request.path)
            status, document = handle(decode_json_object(request.body) if request.method == "POST" else {})
        except ApiError as error:
            status, document = error.status, error.body()
        except ValueError as error:
            status, document = 400, ApiError(str(error)).body()
        return Response(status, encode_json(document), {})

    def _health(self, _: Document) -> Answer:
        return 200, {"status": "ok", "account": self._world.account_id, "now": self._world.clock.now()}

    def _clock(self, _: Document) -> Answer:
        clock = self._world.clock
        return 200, {"now": clock.now(), "offset_seconds": clock.offset_seconds}

    def _move_clock(self, given: Document) -> Answer:
        now = self._world.clock.now()
        if given.keys() == {"advance_seconds"}:
            target = now + _integer(given, "advance_seconds")
        elif given.keys() == {"to"}:
            target = _integer(given, "to")
        else:
            raise ValueError('give {"advance_seconds": n} or {"to": unix seconds}')
        if not 0 <= target - now <= _MAX_STEP_SECONDS:
            raise ValueError(f"the clock moves forward only, and at most {_MAX_STEP_SECONDS} s at once; it is {now}")
        self._world.move_clock(target)
        return self._clock({})

    def _settings(self, _: Document) -> Answer:
        return 200, asdict(self._world.settings)

    def _configure(self, given: Document) -> Answer:
        known = asdict(self._world.settings)
        if unknown := given.keys() - known.keys():
            raise ValueError(f"unknown setting {min(unknown)}; known are {', '.join(known)}")
        wanted = known | given
        for name in ("smart_retries", "remembers_declining_cards"):
            if not isinstance(wanted[name], bool):
                raise ValueError(f"{name} is true or false")  # noqa: TRY004 - answered as a bad value, not a bug
        if wanted["after_retries"] not in _AFTER_RETRIES:
            raise ValueError(f"after_retries is one of {', '.join(sorted(_AFTER_RETRIES))}")
        with self._world.lock:
            self._world.configure(settings=Settings(**wanted))
        return self._settings({})

    def _deliveries(self, _: Document) -> Answer:
        return 200, {"events": self._world.log.total} | self._world.deliverer.status()

    def _disturb(self, given: Document) -> Answer:
        with self._world.lock:
            self._world.configure(chaos=self._world.deliverer.chaos.changed(given))
        return self._with_chaos()

    def _flush(self, _: Document) -> Answer:
        released = self._world.deliverer.flush()
        return 200, self._deliveries({})[1] | {"released": released}

    def _wait(self, given: Document) -> Answer:
        in_time = self._world.deliverer.wait_until_idle(_timeout(given))
        return 200 if in_time else 504, self._deliveries({})[1]

    def _wait_for_clocks(self, given: Document) -> Answer:
        in_time = self._world.wait_until_clocks_stand(_timeout(given))
        return 200 if in_time else 504, {"ready": in_time}

    def _faults(self, _: Document) -> Answer:
        disturbed = self._disturbed
        return 200, {"faults": disturbed.faults.listed(), "rate_limits": disturbed.limits.mode}

    def _add_fault(self, given: Document) -> Answer:
        if "rate_limits" in given:
            self._disturbed.limits.switch(given["rate_limits"])
        rule = {name: value for name, value in given.items() if name != "rate_limits"}
        if rule or not given:
            self._disturbed.faults.add(rule)
        return self._faults({})

    def _clear_faults(self, given: Document) -> Answer:
        removed = self._disturbed.faults.remove(given.get("id"))
        if not given:
            self._disturbed.limits.switch("off")
        return 200, self._faults({})[1] | {"removed": removed}

    def _authenticate(self, given: Document) -> Answer:
        succeeds = given.get("succeeds", True)
        if not isinstance(given.get("intent"), str) or not isinstance(succeeds, bool):
            raise ValueError(_AUTHENTICATION)  # noqa: TRY004 - answered as a bad value, not a bug
        with self._world.lock:
            session = self._world.session()
            intent = authenticate(session, given["intent"], succeeds=succeeds)
            self._world.commit(session)
        return 200, public(intent)

    def _emit(self, given: Document) -> Answer:
        return 200, {"endpoints": self._world.send_unrecorded(given)}

    def _thin_event(self, given: Document) -> Answer:
        with self._world.lock:
            session = self._world.session()
            meter = session.find("billing.meter", given.get("meter"))
            kind = given.get("type", METER_ERRORS)
            if kind not in {METER_ERRORS, NO_METER}:
                raise ValueError(f"type is {METER_ERRORS} or {NO_METER}")
            if (kind == METER_ERRORS) != (meter is not None):
                raise ValueError(f"{METER_ERRORS} needs the id of a meter, {NO_METER} has none")
            sample = ApiError("An event on request.", code="no_meter" if meter is None else "meter_event_no_value")
            event = report_usage_errors(session, meter, [(str(given.get("identifier", "on-request")), sample)])
            self._world.commit(session)
        return 200, public(event)

    def _hash(self, _: Document) -> Answer:
        digest = hashlib.sha256()
        with self._world.lock:
            documents = sorted(self._world.store.all(), key=lambda document: (document["object"], document["id"]))
            for document in documents:
                digest.update(json.dumps(public(document), sort_keys=True).encode())
        return 200, {"sha256": digest.hexdigest(), "objects": len(documents)}

    def _with_chaos(self) -> Answer:
        return 200, self._deliveries({})[1] | {"settings": asdict(self._world.deliverer.chaos)}


def _timeout(given: dict[str, Any]) -> float:
    timeout = given.get("timeout_seconds", _DEFAULT_WAIT_SECONDS)
    if not isinstance(timeout, int | float) or not 0 <= timeout <= _MAX_WAIT_SECONDS:
        raise ValueError(f"timeout_seconds lies between 0 and {_MAX_WAIT_SECONDS}")
    return timeout


def _integer(given: dict[str, Any], name: str) -> int:
    value = given[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name} is a whole number of seconds, not {value!r}")  # noqa: TRY004 - answered as a bad value
    return value
