from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.transport.redis import Channel
from redis.exceptions import ConnectionError as RedisConnectionError

from billing_worker.app.celery_factory import VISIBILITY_SECONDS, BillingCelery, build_celery
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.settings import Settings
from billing_worker.worker.celery_guard import guard_redis_channel
from billing_worker.worker.container import Container
from billing_worker.worker.queues import FIXED_QUEUES
from billing_worker.worker.tasks import registry


def no_container() -> Container:
    raise AssertionError("building the application connects nothing")


@pytest.fixture
def app(settings: Settings) -> BillingCelery:
    return build_celery(settings, no_container)


def test_every_definition_is_a_task_with_its_limits_and_its_queue(app: BillingCelery) -> None:
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert set(ours) == {definition.name for definition in registry}
    for definition in registry:
        task = ours[definition.name]
        assert (task.soft_time_limit, task.time_limit) == (definition.soft_limit_seconds, definition.hard_limit_seconds)
        assert task.soft_time_limit < task.time_limit < VISIBILITY_SECONDS
        assert (task.acks_late, task.acks_on_failure, task.acks_on_timeout) == (True, True, True)
        assert (task.reject_on_worker_lost, task.ignore_result) == (True, True)
        assert app.conf.task_routes[definition.name] == {"queue": definition.queue}


def test_queues_are_declared_and_no_other_can_be_consumed(settings: Settings) -> None:
    two = build_celery(settings.model_copy(update={"billing_webhook_queues": 2}), no_container)
    assert [queue.name for queue in two.conf.task_queues] == ["webhooks.0", "webhooks.1", *FIXED_QUEUES]
    assert two.conf.task_create_missing_queues is False


def test_the_memory_limit_is_told_to_celery_in_kibibytes(settings: Settings) -> None:
    app = build_celery(settings.model_copy(update={"billing_memory_limit": 512 * 1024**2}), no_container)
    assert app.conf.worker_max_memory_per_child == 512 * 1024


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"redis_url": type("Empty", (), {"get_secret_value": lambda _: ""})()}, "no broker"),
        ({"usage_aggregation_interval": timedelta(milliseconds=100)}, "job usage_aggregation: an interval is whole"),
    ],
)
def test_settings_that_cannot_work_stop_every_process_at_its_start(
    settings: Settings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        build_celery(settings.model_copy(update=change), no_container)


def test_a_closed_channel_answers_with_a_connection_error() -> None:
    class Closed:
        connection = SimpleNamespace(client=None)

        def _connparams(self) -> object:
            return self.connection.client.hostname

    closed = Closed()
    with pytest.raises(AttributeError):
        closed._connparams()
    guard_redis_channel(Closed)
    guarded = Closed._connparams
    guard_redis_channel(Closed)
    assert Closed._connparams is guarded
    with pytest.raises(RedisConnectionError):
        closed._connparams()


@pytest.mark.usefixtures("app")
def test_kombus_own_channel_is_guarded() -> None:
    assert getattr(Channel._connparams, "guarded", False) is True
