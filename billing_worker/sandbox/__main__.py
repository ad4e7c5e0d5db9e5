"""Start the sandbox: `python -m billing_worker.sandbox --port 12111`."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from billing_worker.sandbox.core.journal import StateInUseError
from billing_worker.sandbox.core.world import World
from billing_worker.sandbox.engine.cycles import DUTIES
from billing_worker.sandbox.faults_command import run_faults
from billing_worker.sandbox.operations import test_clocks
from billing_worker.sandbox.operations.further import FURTHER_DUTIES
from billing_worker.sandbox.operations.webhooks import new_endpoint
from billing_worker.sandbox.server import SandboxServer

_EXIT_REFUSED = 3
_EXIT_UNAVAILABLE = 5


def main() -> int:
    """Serve until SIGTERM or SIGINT; give the exit code."""
    if sys.argv[1:2] == ["faults"]:
        return run_faults(sys.argv[2:], port=_default_port())
    options = _options()
    if not options.allow_remote and not _is_loopback(options.host):
        sys.stderr.write(
            f"refused: {options.host} is not a loopback address, and anybody who reaches the sandbox may drive it; "
            "use --host 127.0.0.1, or --allow-remote if that is meant\n"
        )
        return _EXIT_REFUSED
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        duties = DUTIES | test_clocks.DUTIES | FURTHER_DUTIES
        world = World(duties, Path(options.state_dir) if options.state_dir else None)
        server = SandboxServer((options.host, options.port), world)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {options.host}:{options.port}: {error.strerror}; choose another --port\n")
        return _EXIT_UNAVAILABLE
    except StateInUseError as refused:
        sys.stderr.write(f"refused: {refused}\n")
        return _EXIT_REFUSED
    world.start()
    _preset_endpoint(world)
    for number in (signal.SIGTERM, signal.SIGINT):
        # stop() waits for the serving loop, which this thread runs: it has to be called from another one.
        signal.signal(number, lambda *_: threading.Thread(target=server.stop).start())
    logging.getLogger("sandbox").info("listening on %s:%d as %s", options.host, server.server_port, world.account_id)
    server.serve()
    world.stop()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m billing_worker.sandbox", description="A local, stateful Stripe.")
    parser.add_argument("--host", default=os.environ.get("SANDBOX_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=_default_port(), help="0: any free one")
    parser.add_argument("--state-dir", default=os.environ.get("SANDBOX_STATE_DIR"), help="without: memory only")
    parser.add_argument("--allow-remote", action="store_true", help="listen on an address others can reach")
    return parser.parse_args()


def _default_port() -> int:
    return int(os.environ.get("SANDBOX_PORT", "12111"))


def _is_loopback(host: str) -> bool:
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host or "0.0.0.0", None)}  # noqa: S104 - what "" means
    except OSError:
        return False
    return all(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in found)


def _preset_endpoint(world: World) -> None:
    """Make sure that the endpoint named by the environment exists, with the secret given there."""
    url, secret = os.environ.get("SANDBOX_WEBHOOK_URL"), os.environ.get("SANDBOX_WEBHOOK_SECRET")
    if not url or not secret:
        return
    with world.lock:
        session = world.session()
        known = session.scan("webhook_endpoint", lambda endpoint: endpoint.get("_is_preset", False))
        if known:
            session.get("webhook_endpoint", known[0]["id"]).update({"url": url, "_secret": secret, "status": "enabled"})
        else:
            new_endpoint(session, {"url": url, "enabled_events": ["*"]}, secret)["_is_preset"] = True
        world.commit(session)


if __name__ == "__main__":
    sys.exit(main())
