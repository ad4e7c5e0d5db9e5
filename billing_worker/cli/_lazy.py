"""Modules that load when a command uses them: `--help` must not pay for SQLAlchemy, Stripe or Celery.

In a command file, so that types are known and nothing is loaded:

    if TYPE_CHECKING:
        from billing_worker.stack import start
    else:
        start = lazy_module("billing_worker.stack.start")
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any


class _LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        return getattr(importlib.import_module(self.__name__), name)


def lazy_module(name: str) -> ModuleType:
    """Return a stand-in that imports the module at the first use of a name in it."""
    return _LazyModule(name)
