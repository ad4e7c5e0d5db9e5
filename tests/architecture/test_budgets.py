"""Budgets of STYLE: a file past its budget asks for another design. The list of exceptions may only shrink."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("billing_worker", "webhook_receiver", "nself_billing_client", "schedules")
NAMES_FOR_NOTHING = frozenset({"utils", "util", "helpers", "helper", "common", "misc"})
MODULE_BUDGET = 400
FUNCTION_BUDGET = 45
SLICE_BUDGETS = {"services": 150, "tasks": 200, "handlers": 200, "queries": 300}
COMMAND_BUDGET = 100

EXCEPTIONS: dict[str, str] = {}
"""Path (or path:function) → why it may be longer. Empty is the aim."""


@cache
def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Everything in a module; the module itself comes first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def budget_of(path: Path) -> int:
    relative = path.relative_to(ROOT)
    if relative.parts[:2] == ("billing_worker", "cli") and not relative.name.startswith("_"):
        return COMMAND_BUDGET if len(relative.parts) > 3 else MODULE_BUDGET
    if relative.parts[0] == "billing_worker" and relative.parts[1] in {"domains", "inbox", "effects", "worker"}:
        for name, budget in SLICE_BUDGETS.items():
            if name in relative.parts[:-1] or relative.stem == name:
                return budget
    return MODULE_BUDGET


def functions_of(path: Path) -> Iterator[tuple[str, int]]:
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # the docstring is asked for by STYLE and does not count against its function
            told = node.body[0] if ast.get_docstring(node) else None
            docstring = (told.end_lineno or told.lineno) - told.lineno + 1 if told is not None else 0
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def too_long() -> set[str]:
    """Everything past its budget, under the names EXCEPTIONS knows it by."""
    files = {str(path.relative_to(ROOT)) for path in modules() if lines_of(path) > budget_of(path)}
    return files | {
        f"{path.relative_to(ROOT)}:{function}"
        for path in modules()
        for function, lines in functions_of(path)
        if lines > FUNCTION_BUDGET
    }


def test_modules_and_functions_stay_within_their_budgets() -> None:
    assert too_long() - set(EXCEPTIONS) == set()


def test_no_module_is_named_for_nothing() -> None:
    assert [path for path in modules() if path.stem in NAMES_FOR_NOTHING] == []


def test_exceptions_are_still_needed() -> None:
    assert set(EXCEPTIONS) <= too_long()


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        for module in nodes_of(path)[:1]
        if isinstance(module, ast.Module) and not ast.get_docstring(module)
    ]
    assert silent == []
