"""Load for the usage bench: one thread, keep-alive sockets, batches written before the clock starts."""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
import uuid
from dataclasses import dataclass

USERS = 500


@dataclass
class Client:
    """One connection with the answer it waits for."""

    connection: socket.socket
    received: bytes = b""


def prepare(count: int, batch: int, key: str) -> list[bytes]:
    """Write `count` requests of `batch` records, each record with a key of its own."""
    run = uuid.uuid4().hex[:12]
    requests = []
    for number in range(count):
        records = [
            {
                "user": f"user{(number * batch + index) % USERS}",
                "metric": "api_calls",
                "value": index % 9 + 1,
                "idempotency_key": f"{run}-{number}-{index}",
            }
            for index in range(batch)
        ]
        body = json.dumps(records).encode()
        head = (
            f"POST /v1/usage HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


def drive(port: int, connections: int, requests: list[bytes]) -> tuple[float, int, int]:
    """Send everything; a 429 is sent again. Return seconds, how many were answered 200 or 202, and how many 429."""
    selector = selectors.DefaultSelector()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, Client(connection))
    waiting = list(reversed(requests))
    under_way: dict[int, bytes] = {}
    done = refused = 0
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        _send(key.data, waiting, under_way)
    while done < len(requests):
        for key, _ in selector.select():
            client: Client = key.data
            client.received += client.connection.recv(1 << 20)
            if not _is_whole(client.received):
                continue
            status = client.received[9:12]
            sent = under_way.pop(client.connection.fileno())
            client.received = b""
            if status in {b"200", b"202"}:
                done += 1
            elif status == b"429":
                refused += 1
                waiting.append(sent)
                time.sleep(0.01)
            else:
                raise SystemExit(f"answered {status!r}")
            _send(client, waiting, under_way)
    return time.perf_counter() - started, done, refused


def _send(client: Client, waiting: list[bytes], under_way: dict[int, bytes]) -> None:
    if waiting:
        under_way[client.connection.fileno()] = waiting[-1]
        client.connection.sendall(waiting.pop())


def _is_whole(received: bytes) -> bool:
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(body) >= int(length.split(b":")[1])


def main() -> None:
    """Prepare, say ready, wait for the word, drive."""
    port, connections, count, batch, key = sys.argv[1:]
    requests = prepare(int(count), int(batch), key)
    print("ready", flush=True)
    sys.stdin.readline()
    seconds, done, refused = drive(int(port), int(connections), requests)
    print(json.dumps({"seconds": seconds, "done": done, "refused": refused}))


if __name__ == "__main__":
    main()
