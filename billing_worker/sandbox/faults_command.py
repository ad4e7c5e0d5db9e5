"""`python -m billing_worker.sandbox faults …`: a client of the control API for faults."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
from collections.abc import Sequence
from typing import Any

from billing_worker.sandbox.core.faults import DEFAULT_SECONDS, KINDS
from billing_worker.sandbox.core.rate_limits import MODES

_TIMEOUT_SECONDS = 10
_EXIT_USAGE = 2
_EXIT_UNAVAILABLE = 5
_PATH = "/_sandbox/faults"


def run_faults(arguments: Sequence[str], *, port: int) -> int:
    """Add, list or clear faults of a running sandbox, print its answer as JSON and give the exit code."""
    options = _options(arguments, port)
    connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=_TIMEOUT_SECONDS)
    method, path, body = _request(options)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        document: dict[str, Any] = json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        sys.stderr.write(f"no sandbox answers on port {options.port}: {error}; choose another --port\n")
        return _EXIT_UNAVAILABLE
    finally:
        connection.close()
    if answer.status != http.client.OK:
        sys.stderr.write(f"{document['error']['message']}\n")
        return _EXIT_USAGE
    sys.stdout.write(json.dumps(document, indent=1) + "\n")
    return 0


def _request(options: argparse.Namespace) -> tuple[str, str, dict[str, Any] | None]:
    if options.verb == "list":
        return "GET", _PATH, None
    if options.verb == "clear":
        return "POST", f"{_PATH}/clear", {} if options.id is None else {"id": options.id}
    if options.verb == "rate-limits":
        return "POST", _PATH, {"rate_limits": options.mode}
    names = ("kind", "method", "path", "key", "nth", "count", "seconds")
    return "POST", _PATH, {name: getattr(options, name) for name in names}


def _options(arguments: Sequence[str], port: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m billing_worker.sandbox faults", description=__doc__)
    parser.add_argument("--port", type=int, default=port, help="the sandbox's port (default %(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="let requests fail")
    add.add_argument("kind", choices=KINDS)
    add.add_argument("--method", default="*")
    add.add_argument("--path", default="*", help="with * for anything, e.g. '/v1/invoices/*/pay'")
    add.add_argument("--key", default="*", help="only requests with this API key")
    add.add_argument("--nth", type=int, default=1, help="from this matching request on")
    add.add_argument("--count", type=int, default=1, help="so many requests; 0: all")
    add.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="length of slowness, silence, refusal")
    verbs.add_parser("list", help="show the faults and what they did")
    clear = verbs.add_parser("clear", help="remove one fault, or all with the rate limits")
    clear.add_argument("id", nargs="?")
    verbs.add_parser("rate-limits", help="switch Stripe's limits on or off").add_argument("mode", choices=MODES)
    return parser.parse_args(arguments)
