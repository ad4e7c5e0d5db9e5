"""Load the metric catalogue."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import yaml

from billing_worker.domains.usage.errors import MetricCatalogError
from billing_worker.domains.usage.rules import Metric, MetricCatalog
from billing_worker.domains.usage.states import Formula, Rounding

Choice = TypeVar("Choice", Formula, Rounding)

_SHIPPED = "metrics.yml"

EVENT_NAME_MAX = 100
"""Source: Stripe API reference, meter: event_name."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_FIELDS = frozenset({"description", "formula", "unit", "round_to", "rounding", "stripe_meter"})


def load_metrics(path: Path | None = None) -> MetricCatalog:
    """Read and validate a catalogue: the one shipped with the package, or another file.

    Raises: MetricCatalogError naming file, metric, and what would be right.
    """
    source = str(path) if path else _SHIPPED
    try:
        text = path.read_text() if path else files("billing_worker.domains.usage").joinpath(_SHIPPED).read_text()
        content = yaml.safe_load(text)
    except OSError as error:
        raise MetricCatalogError(source, f"cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise MetricCatalogError(source, f"is not YAML: {error}") from error
    if not isinstance(content, dict) or not content:
        raise MetricCatalogError(source, "must map metric names to their definitions, for example api_calls: {…}")
    return MetricCatalog(_metric(source, name, definition) for name, definition in content.items())


def _metric(source: str, name: object, definition: object) -> Metric:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise MetricCatalogError(source, f"{name!r} is not a metric name; for example api_calls")
    if not isinstance(definition, dict):
        raise MetricCatalogError(source, f"{name} must have at least formula and unit")
    unknown = sorted(str(field) for field in definition if field not in _FIELDS)
    if unknown:
        raise MetricCatalogError(source, f"{name} has unknown fields {', '.join(unknown)}; known: {sorted(_FIELDS)}")
    unit = definition.get("unit")
    if not isinstance(unit, str) or not unit:
        raise MetricCatalogError(source, f"{name} needs a unit, for example call")
    round_to = definition.get("round_to", 1)
    if isinstance(round_to, bool) or not isinstance(round_to, int) or round_to < 1:
        raise MetricCatalogError(source, f"{name}: round_to {round_to!r} is not a positive integer; for example 1000")
    formula = _choice(source, name, "formula", definition.get("formula"), Formula)
    return Metric(
        name=name,
        description=str(definition.get("description", "")),
        formula=formula,
        unit=unit,
        round_to=round_to,
        rounding=_choice(source, name, "rounding", definition.get("rounding", "none"), Rounding),
        stripe_meter=_stripe_meter(source, name, definition.get("stripe_meter"), formula),
    )


def _stripe_meter(source: str, name: str, value: object, formula: Formula) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= EVENT_NAME_MAX:
        raise MetricCatalogError(source, f"{name}: stripe_meter {value!r} is not an event name; for example api_calls")
    if formula not in {Formula.SUM, Formula.COUNT}:
        raise MetricCatalogError(
            source,
            f"{name}: a {formula} cannot be told to a Stripe meter, whose events only add up; take sum or count, or "
            "bill it here as overage",
        )
    return value


def _choice(source: str, name: str, field: str, value: object, kind: type[Choice]) -> Choice:
    try:
        return kind(str(value))
    except ValueError:
        choices = ", ".join(member.value for member in kind)
        raise MetricCatalogError(source, f"{name}: {field} {value!r} is none of {choices}") from None
