"""The API in this process, on real PostgreSQL and Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.http_api.container import ApiContainer, build_api_container
from billing_worker.http_api.wsgi import build_app, usage_endpoints
from billing_worker.kernel.clock import FixedClock
from billing_worker.runtime.settings import Settings

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    def statuses(self) -> list[str]:
        return [result["status"] for result in self.body["results"]]


@dataclass(frozen=True)
class Api:
    client: FlaskClient
    container: ApiContainer

    def post(self, body: object, *, path: str = "/v1/usage", **headers: str) -> Answer:
        """Send JSON, or text as it is; header names with underscores."""
        told = {"Authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        content = body if isinstance(body, str | bytes) else json.dumps(body)
        response = self.client.post(path, data=content, headers={name: value for name, value in told.items() if value})
        return Answer(response.status_code, response.get_json(), dict(response.headers))


ApiMaker = Callable[..., Api]


@pytest.fixture
def make_api(settings: Settings, clock: FixedClock) -> Iterator[ApiMaker]:
    """Build an API with other settings; its clock is the test's."""
    built: list[ApiContainer] = []

    def make(**changes: object) -> Api:
        told = settings.model_dump() | {"billing_api_keys": f"shop:{KEY},forum:{KEY[::-1]}", **changes}
        container = build_api_container(Settings.model_validate(told))
        unit_of_work = UnitOfWork(container.engine, clock, statement_timeout=timedelta(seconds=30))
        built.append(container)
        container = replace(container, unit_of_work=unit_of_work)
        return Api(build_app(container, [usage_endpoints(container)]).test_client(), container)

    yield make
    for container in built:
        container.redis.close()
        container.engine.dispose()


@pytest.fixture
def api(make_api: ApiMaker) -> Api:
    return make_api()
