"""Where things may stand: environment, blanket exceptions, imports, one public function per service."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.test_budgets import ROOT, modules, nodes_of

ENVIRONMENT_READERS = frozenset(
    {
        "billing_worker/runtime/settings.py",
        "billing_worker/sandbox/__main__.py",
        "billing_worker/cli/main.py",
        "billing_worker/stack/ephemeral.py",
        "billing_worker/stack/bound.py",
        "billing_worker/stack/launch.py",
        "billing_worker/stack/postgres.py",
    }
)
"""Settings, entry points that hand the environment on, and initdb, which gets PATH and nothing else."""

BLANKET_EXCEPTION_ROOMS = (
    "billing_worker/worker/tasks.py",  # every failure of a task is seen here
    "billing_worker/worker/wake_probes.py",
    "billing_worker/worker/ledger/",
    "billing_worker/worker/beat.py",
    "billing_worker/app/celery_factory.py",
    "billing_worker/inbox/batch.py",  # dispatch
    "billing_worker/inbox/services/drain_lanes.py",
    "billing_worker/effects/services/run_due_effects.py",
    "billing_worker/cli/_errors.py",
    "billing_worker/inbox/group_commit.py",
    "billing_worker/inbox/lane_wakes.py",
    "webhook_receiver/front.py",
    "billing_worker/sandbox/",
)
"""Dispatchers, where one item's failure must not take the others along, and the command line's edge."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_only_settings_and_entry_points_read_the_environment() -> None:
    readers = {
        name_of(path)
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} and ast.unparse(node.value) == "os"
    }
    assert readers - ENVIRONMENT_READERS == set()


def test_everything_is_caught_only_where_items_are_dispatched() -> None:
    places = {
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        # cleaning up and passing the error on catches nothing
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
        and not name_of(path).startswith(BLANKET_EXCEPTION_ROOMS)
    }
    assert places == set()


def test_no_import_hides_inside_a_function() -> None:
    hidden = {
        f"{name_of(path)}:{inner.lineno}"
        for path in modules()
        for function in nodes_of(path)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }
    assert hidden == set()


def test_a_service_file_has_one_public_function() -> None:
    several = {}
    for path in modules():
        if path.parent.name != "services" or path.stem == "__init__":
            continue
        public = [
            node.name
            for module in nodes_of(path)[:1]
            for node in ast.iter_child_nodes(module)
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
        ]
        if path.stem not in public:
            several[name_of(path)] = public
    assert several == {}


def test_no_message_waits_in_the_broker_for_its_time() -> None:
    """A long ETA is delivered again after the visibility timeout, and then done twice: waiting is a row's business."""
    waiting = {
        f"{name_of(path)}:{node.value.lineno}"
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.keyword) and node.arg in {"eta", "countdown", "visibility_timeout"}
    }
    assert waiting == set()
