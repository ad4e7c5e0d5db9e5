"""A cheap load generator: one thread, raw keep-alive sockets, requests written and signed before the clock starts."""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
import uuid
from dataclasses import dataclass
from typing import Any

from billing_worker.stripe_gateway.signature import sign_payload

CUSTOMERS = 200


@dataclass
class Client:
    """One connection with the request it waits for."""

    connection: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def prepare(count: int, secret: str, filler: str) -> list[bytes]:
    """Write `count` signed requests, each with an event of its own."""
    run, now = uuid.uuid4().hex[:12], int(time.time())
    requests = []
    for number in range(count):
        body = json.dumps(_event(f"evt_{run}_{number}", f"cus_{number % CUSTOMERS}", filler)).encode()
        head = (
            "POST /webhooks/stripe HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Stripe-Signature: {sign_payload(body, secret, now)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def drive(port: int, connections: int, requests: list[bytes]) -> tuple[float, list[float]]:
    """Send everything over the connections, each waiting for its answer; return seconds and latencies."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, Client(connection))
    waiting = iter(requests)
    latencies: list[float] = []
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        _send_next(key.data, waiting)
    while len(latencies) < len(requests):
        for key, _ in selector.select():
            client: Client = key.data
            client.received += client.connection.recv(65_536)
            if not _is_whole(client.received):
                continue
            if not client.received.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"not acknowledged: {client.received[:300]!r}")
            latencies.append(time.perf_counter() - client.sent_at)
            _send_next(client, waiting)
    elapsed = time.perf_counter() - started
    for key in list(selector.get_map().values()):
        key.data.connection.close()
    selector.close()
    return elapsed, latencies


def _send_next(client: Client, waiting: Any) -> None:  # noqa: ANN401 - an iterator
    request = next(waiting, None)
    if request is not None:
        client.received = b""
        client.sent_at = time.perf_counter()
        client.connection.sendall(request)


def _is_whole(received: bytes) -> bool:
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    raise SystemExit(f"an answer without length: {head!r}")


def _event(event_id: str, customer: str, filler: str) -> dict[str, object]:
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(time.time()),
        "livemode": False,
        "type": "customer.updated",
        "data": {"object": {"id": customer, "object": "customer", "description": filler}},
    }


def main() -> None:
    """Take port, connections, count and secret from the command line; start on a line of input; report as JSON."""
    port, connections, count, size, secret = sys.argv[1:6]
    requests = prepare(int(count), secret, "x" * int(size))
    print("ready", flush=True)
    sys.stdin.readline()
    elapsed, latencies = drive(int(port), int(connections), requests)
    print(json.dumps({"seconds": elapsed, "latencies": latencies}), flush=True)


if __name__ == "__main__":
    main()
