"""Load the prices of the overage file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import yaml

from billing_worker.domains.overage.errors import InvalidOveragePriceError
from billing_worker.domains.overage.pricing import PricedMetric
from billing_worker.domains.overage.rules import read_written_price

_SHIPPED = "overage.yml"


def load_overage_file(path: Path | None = None) -> tuple[PricedMetric, ...]:
    """Read and validate the prices of a file; the one shipped with the package has none.

    Raises: InvalidOveragePriceError naming the file or price, and what would be right.
    """
    source = str(path) if path else _SHIPPED
    try:
        text = path.read_text() if path else files("billing_worker.domains.overage").joinpath(_SHIPPED).read_text()
        content = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidOveragePriceError(f"{source} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidOveragePriceError(f"{source} is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise InvalidOveragePriceError(f"{source} must map names to prices, for example api_calls_usd: {{metric: …}}")
    return tuple(_read(f"{source}: {name}", written) for name, written in content.items())


def _read(name: str, written: object) -> PricedMetric:
    if not isinstance(written, dict) or not isinstance(written.get("metric"), str):
        raise InvalidOveragePriceError(f"{name} must name its metric, for example metric: api_calls")
    terms = {field: value for field, value in written.items() if field != "metric"}
    return PricedMetric(written["metric"], read_written_price(name, terms))
