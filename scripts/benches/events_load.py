"""Deliver signed events at a rate, or as fast as they are answered, over keep-alive connections; report as JSON."""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import threading
import time

from billing_worker.stripe_gateway.signature import sign_payload
from scripts.benches.inbox_load import body_of


def deliver(options: argparse.Namespace, bodies: list[bytes]) -> tuple[float, list[float]]:
    """Send every body once and return seconds and latencies; anything but 200 ends the run."""
    numbers, lock = itertools.count(), threading.Lock()
    latencies: list[float] = []
    refused: list[str] = []
    started = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", options.port, timeout=60)
        while not refused:
            with lock:
                number = next(numbers)
            if number >= len(bodies):
                return
            if options.rate:
                time.sleep(max(0.0, started + number / options.rate - time.perf_counter()))
            signature = sign_payload(bodies[number], options.secret, int(time.time()))
            sent = time.perf_counter()
            headers = {"Content-Type": "application/json", "Stripe-Signature": signature}
            connection.request("POST", options.path, bodies[number], headers)
            answer = connection.getresponse()
            text = answer.read()
            latencies.append(time.perf_counter() - sent)
            if answer.status != http.HTTPStatus.OK:
                refused.append(f"{answer.status} {text[:300]!r}")

    threads = [threading.Thread(target=work) for _ in range(options.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        raise SystemExit(f"not acknowledged: {refused[0]}")
    return time.perf_counter() - started, latencies


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
    bodies = [
        body_of(numbers, f"cus_{number % options.objects:08d}", number, number, now + number // options.objects)
        for number in range(options.first, options.first + options.count)
    ]
    print("ready", flush=True)
    input()
    seconds, latencies = deliver(options, bodies)
    print(json.dumps({"seconds": seconds, "latencies": latencies}), flush=True)


if __name__ == "__main__":
    main()
