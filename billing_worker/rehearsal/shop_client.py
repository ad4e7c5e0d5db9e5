"""The shop's own way to Stripe's API: forms over HTTP, an idempotency key per change."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from billing_worker.kernel.errors import TerminalError

TIMEOUT_SECONDS = (5, 60)
API_VERSION = "2026-10-28.endive"


class ShopCallError(TerminalError):
    """Stripe refused a call of the shop's that the story needs."""

    def __init__(self, path: str, status: int, message: str) -> None:
        super().__init__(f"{path} answered {status}: {message}")
        self.status = status


class ShopClient:
    """Calls Stripe's API, and the sandbox's control API below `/_sandbox`."""

    def __init__(self, base: str, key: str) -> None:
        self._base = base.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False  # the sandbox is on this machine: never through a proxy
        self._http.headers.update({"Authorization": f"Bearer {key}", "Stripe-Version": API_VERSION})

    def post(self, path: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - Stripe's parameters
        """Change something.

        Raises: ShopCallError with Stripe's message.
        """
        form = list(_form(parameters))
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._answer(path, self._http.post(self._url(path), data=form, headers=headers, timeout=TIMEOUT_SECONDS))

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - Stripe's parameters
        """Read something."""
        return self._answer(
            path, self._http.get(self._url(path), params=list(_form(parameters)), timeout=TIMEOUT_SECONDS)
        )

    def delete(self, path: str) -> dict[str, Any]:
        """End something."""
        return self._answer(path, self._http.delete(self._url(path), timeout=TIMEOUT_SECONDS))

    def list_all(self, path: str, **parameters: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - Stripe's parameters
        """Walk a list from the newest to the oldest."""
        after: dict[str, str] = {}
        while True:
            page = self.get(path, limit=100, **parameters, **after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = {"starting_after": page["data"][-1]["id"]}

    def control(self, path: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - the control API's own
        """Ask the sandbox's control API; a body makes it a POST."""
        url = f"{self._base}/_sandbox/{path}"
        answer = (
            self._http.post(url, json=body, timeout=(5, 660)) if body else self._http.get(url, timeout=TIMEOUT_SECONDS)
        )
        return self._answer(path, answer)

    def _url(self, path: str) -> str:
        return f"{self._base}/v1/{path}"

    def _answer(self, path: str, answer: requests.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        if answer.status_code >= 400:  # noqa: PLR2004 - HTTP
            error = body.get("error", {})
            raise ShopCallError(path, answer.status_code, str(error.get("message", body)))
        return body


def _form(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - nested parameters
    """Flatten parameters as Stripe writes them: `items[0][price]`."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _form(part, f"{name}[{key}]" if name else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _form(part, f"{name}[{index}]")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif value is not None:
        yield name, str(value)
