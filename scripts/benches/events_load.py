"""Deliver signed events at a rate, or as fast as they are answered, over keep-alive connections; report as JSON.

One thread on raw sockets, requests written and signed before the clock starts: the load must not take the processor
from what it measures.
"""

from __future__ import annotations

import argparse
import json
import random
import selectors
import socket
import time
from dataclasses import dataclass

from billing_worker.stripe_gateway.signature import sign_payload
from scripts.benches.inbox_load import body_of


@dataclass
class Client:
    """One connection and the answer it waits for."""

    connection: socket.socket
    sent_at: float = 0.0
    received: bytes = b""

    def send(self, request: bytes) -> None:
        self.received, self.sent_at = b"", time.perf_counter()
        self.connection.sendall(request)

    def is_answered(self) -> bool:
        """Read what has come and say whether the answer is whole; anything but 200 ends the run."""
        data = self.connection.recv(65_536)
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not data or (found and b" 200 " not in head.partition(b"\r\n")[0]):
            raise SystemExit(f"not acknowledged: {self.received[:300]!r}")
        if not found:
            return False
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return len(rest) >= int(length.partition(b":")[2])


def deliver(port: int, requests: list[bytes], *, rate: float, connections: int) -> tuple[float, list[float]]:
    """Send every request once, number n not before n / rate seconds; return seconds and latencies."""
    selector = selectors.DefaultSelector()
    idle = []
    for _ in range(connections):
        client = Client(socket.create_connection(("127.0.0.1", port)))
        client.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client.connection, selectors.EVENT_READ, client)
        idle.append(client)
    latencies: list[float] = []
    number, started = 0, time.perf_counter()
    while len(latencies) < len(requests):
        while number < len(requests) and idle and _wait(number, rate, started) <= 0:
            idle.pop().send(requests[number])
            number += 1
        is_next_due_later = number < len(requests) and idle
        for key, _ in selector.select(_wait(number, rate, started) if is_next_due_later else None):
            if key.data.is_answered():
                latencies.append(time.perf_counter() - key.data.sent_at)
                idle.append(key.data)
    return time.perf_counter() - started, latencies


def _wait(number: int, rate: float, started: float) -> float:
    return started + number / rate - time.perf_counter() if rate else 0.0


def write_request(path: str, body: bytes, secret: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Stripe-Signature: {sign_payload(body, secret, int(time.time()))}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Prepare, say so, start on a line of input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--objects", type=int, default=2_000)
    parser.add_argument("--rate", type=float, default=0, help="events per second; 0: as fast as they are answered")
    parser.add_argument("--connections", type=int, default=32)
    options = parser.parse_args()
    numbers = random.Random(options.first)  # noqa: S311 - the same bodies in every run
    now = int(time.time())
    requests = []
    for number in range(options.first, options.first + options.count):
        name, created = f"cus_{number % options.objects:08d}", now + number // options.objects
        body = body_of(numbers, name, number, number, created)
        requests.append(write_request(options.path, body, options.secret))
    print("ready", flush=True)
    input()
    seconds, latencies = deliver(options.port, requests, rate=options.rate, connections=options.connections)
    print(json.dumps({"seconds": seconds, "latencies": latencies}), flush=True)


if __name__ == "__main__":
    main()
