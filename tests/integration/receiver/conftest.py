"""One receiver for the tests that only ask, an own one for those that disturb."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing_worker.stack.ephemeral import EphemeralServers
from tests.integration.receiver.process import Receiver, running_receiver
from tests.support.databases import cloned_database


@pytest.fixture(scope="module")
def shared_database_url(servers: EphemeralServers) -> Iterator[str]:
    with cloned_database(servers.database_url) as url:
        yield url


@pytest.fixture(scope="module")
def shared_receiver(
    servers: EphemeralServers, shared_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Receiver]:
    with running_receiver(
        tmp_path_factory.mktemp("receiver"),
        shared_database_url,
        servers.redis_url,
        STRIPE_WEBHOOK_SECRET="whsec_test_secret,whsec_next_secret",
    ) as receiver:
        yield receiver


@pytest.fixture
def receiver(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[Receiver]:
    with running_receiver(tmp_path, database_url, redis_url, WEBHOOK_TIMEOUT="1s") as started:
        yield started
