"""Look into the broker: how many messages wait, and which queues have a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from kombu.connection import Connection
from kombu.exceptions import ChannelError, OperationalError
from kombu.pidbox import Mailbox

from billing_worker.kernel.errors import RetryableError
from billing_worker.worker.wake import SOCKET_SECONDS

ANSWER_SECONDS = 1.5
"""Workers answer from their main process within milliseconds, even while their child is busy."""

CONTROL_EXCHANGE = "celery"
"""Celery's default `control_exchange`: asked through kombu alone, because loading Celery costs 0.6 s."""


class BrokerUnavailableError(RetryableError):
    """The broker does not answer."""


def count_messages(broker_url: str, queues: Sequence[str]) -> dict[str, int]:
    """Return how many messages wait in each queue; one that was never used has none.

    Raises: BrokerUnavailableError.
    """
    with _connected(broker_url) as connection:
        return {queue: _count(connection, queue) for queue in queues}


def list_consumed_queues(broker_url: str) -> dict[str, list[str]]:
    """Ask all workers which queues they consume; return the workers of each queue.

    Raises: BrokerUnavailableError.
    """
    consumed: dict[str, list[str]] = {}
    with _connected(broker_url) as connection:
        mailbox = Mailbox(CONTROL_EXCHANGE, type="fanout", accept=["json"])(connection)
        for reply in mailbox.multi_call("active_queues", timeout=ANSWER_SECONDS) or []:
            for worker, queues in reply.items():
                for queue in queues:
                    consumed.setdefault(queue["name"], []).append(worker)
    return {queue: sorted(workers) for queue, workers in sorted(consumed.items())}


@contextmanager
def _connected(broker_url: str) -> Iterator[Connection]:
    options = {"socket_timeout": SOCKET_SECONDS, "socket_connect_timeout": SOCKET_SECONDS}
    connection = Connection(broker_url, transport_options=options, connect_timeout=SOCKET_SECONDS)
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        yield connection
    except (OperationalError, OSError, *connection.recoverable_connection_errors) as error:
        raise BrokerUnavailableError(f"the broker does not answer: {error}") from error
    finally:
        connection.release()


def _count(connection: Connection, queue: str) -> int:
    # RabbitMQ closes a channel on which it was asked for an unknown queue, hence one each.
    channel = connection.channel()
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except (ChannelError, *connection.channel_errors):
        return 0
    finally:
        channel.close()
