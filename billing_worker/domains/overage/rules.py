"""What units beyond a quota cost: tiers, packages, minimums, caps and shares of a period, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from billing_worker.domains.overage.errors import InvalidOveragePriceError

OVERAGE_MARK = "nself_overage"
"""Metadata key by which overage marks its invoice items; the value is the row's key."""

DECIMALS = 12
"""Source: Stripe documentation, prices, `unit_amount_decimal`: at most twelve decimals."""


_EXACT = Context(prec=100)
"""Nineteen digits of units times any amount, exactly; Python's default of 28 digits would round."""

TIER_FIELDS = frozenset({"up_to", "unit_amount", "flat_amount"})


class Scheme(StrEnum):
    """How units become money; the words are Stripe's `tiers_mode`, or its `billing_scheme` without tiers."""

    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier.

    Units: amounts in minor units, with decimals; `up_to` is the last unit of the tier, None without end.
    """

    up_to: int | None
    unit_amount: Decimal
    flat_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class OveragePrice:
    """What units beyond a quota cost.

    Units: `minimum_minor` and `cap_minor` bound the overage of one period, in minor units; the minimum counts once
    anything was used beyond the quota.
    Shape: `divide_by` bills started (`rounds_up`) or whole packages of so many units; tiers then count packages.
    """

    source: str
    currency: str
    scheme: Scheme
    tiers: tuple[Tier, ...]
    divide_by: int = 1
    rounds_up: bool = True
    minimum_minor: int = 0
    cap_minor: int | None = None


@dataclass(frozen=True, slots=True)
class ChargePart:
    """What one tier, flat fee, minimum or cap contributes. Units: minor; `unit_amount` exactly."""

    what: str
    units: int
    unit_amount: Decimal
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What a number of units costs, with the parts that add up to it. Units: minor."""

    units: int
    billed_units: int
    currency: str
    amount_minor: int
    parts: tuple[ChargePart, ...]


def compute_overage_units(*, used: int, limit: int) -> int:
    """Return what was used beyond the limit."""
    return max(used - limit, 0)


def compute_charge(price: OveragePrice, units: int) -> Charge:
    """Price units beyond a quota.

    Each part is rounded to a whole minor unit, half up, as Stripe rounds decimal amounts on an invoice's lines.
    Raises: ValueError for negative units.
    Source: Stripe documentation, “Tiered pricing”, “Package pricing” and “Rounding”.
    """
    if units < 0:
        raise ValueError(f"{units} units cannot be priced")
    billed = _packages(price, units)
    parts = list(_tier_parts(price, billed)) if units else []
    amount = sum(part.amount_minor for part in parts)
    if units and amount < price.minimum_minor:
        parts.append(ChargePart("minimum", 0, Decimal(0), price.minimum_minor - amount))
        amount = price.minimum_minor
    if price.cap_minor is not None and amount > price.cap_minor:
        parts.append(ChargePart("cap", 0, Decimal(0), price.cap_minor - amount))
        amount = price.cap_minor
    return Charge(units, billed, price.currency, amount, tuple(parts))


def compute_granted(limit: int, *, limit_seconds: int, held_seconds: int, period_seconds: int) -> int:
    """Return what a period grants whose limit was changed in the middle.

    Shape: each limit counts for the seconds it held (`limit_seconds` adds up those that were replaced, the last one
    held for `held_seconds`), rounded up; never less than the last limit, which is what the user was shown.
    """
    if not 0 <= held_seconds <= period_seconds or period_seconds == 0:
        raise ValueError(f"{held_seconds} of {period_seconds} seconds is no part of a period")
    return max(limit, -(-(limit_seconds + limit * held_seconds) // period_seconds))


def read_stripe_price(price: Mapping[str, Any]) -> OveragePrice:
    """Read a price of Stripe's, retrieved with `tiers` expanded where it has any.

    Raises: InvalidOveragePriceError.
    """
    source = str(price.get("id"))
    transform = price.get("transform_quantity") or {}
    metadata = price.get("metadata") or {}
    common: dict[str, Any] = {
        "source": source,
        "currency": str(price.get("currency") or "").lower(),
        "divide_by": int(transform.get("divide_by") or 1),
        "rounds_up": transform.get("round", "up") == "up",
        "minimum_minor": _whole(metadata.get("nself_minimum"), source, "nself_minimum") or 0,
        "cap_minor": _whole(metadata.get("nself_cap"), source, "nself_cap"),
    }
    if price.get("billing_scheme") == "tiered":
        tiers = price.get("tiers")
        if not tiers:
            raise InvalidOveragePriceError(
                f"price {source} has tiers that were not read: retrieve it with expand=tiers"
            )
        read = tuple(_stripe_tier(tier, source) for tier in tiers)
        return _checked(OveragePrice(scheme=Scheme(str(price.get("tiers_mode"))), tiers=read, **common))
    unit = _decimal(price.get("unit_amount_decimal") or price.get("unit_amount"), source, "unit_amount")
    return _checked(OveragePrice(scheme=Scheme.PER_UNIT, tiers=(Tier(None, unit),), **common))


def read_written_price(name: str, written: Mapping[str, Any]) -> OveragePrice:
    """Read a price as the overage YAML writes it.

    Shape: `currency`, and `unit_amount` or `tiers` (each `up_to` or `inf`, `unit_amount`, `flat_amount`) with `mode`;
    `package` of `size` and `round`; `minimum`, `cap`. Amounts in minor units, with decimals as text.
    Raises: InvalidOveragePriceError naming the price, the value and a right one.
    """
    _check_shape(name, written)
    package = written.get("package", {})
    common: dict[str, Any] = {
        "source": name,
        "currency": str(written.get("currency") or "").lower(),
        "divide_by": _whole(package.get("size", 1), name, "package.size") or 1,
        "rounds_up": package.get("round", "up") == "up",
        "minimum_minor": _whole(written.get("minimum"), name, "minimum") or 0,
        "cap_minor": _whole(written.get("cap"), name, "cap"),
    }
    if ("tiers" in written) == ("unit_amount" in written):
        raise InvalidOveragePriceError(f"{name}: a price has unit_amount or tiers; write for example unit_amount: 10")
    if "unit_amount" in written:
        unit = _decimal(written["unit_amount"], name, "unit_amount")
        return _checked(OveragePrice(scheme=Scheme.PER_UNIT, tiers=(Tier(None, unit),), **common))
    mode = written.get("mode", "graduated")
    if mode not in (Scheme.GRADUATED, Scheme.VOLUME):
        raise InvalidOveragePriceError(f"{name}: mode {mode!r} is unknown; write graduated or volume")
    tiers = tuple(
        Tier(
            None if tier.get("up_to") in ("inf", None) else _whole(tier["up_to"], name, "up_to"),
            _decimal(tier.get("unit_amount", 0), name, "unit_amount"),
            _decimal(tier.get("flat_amount", 0), name, "flat_amount"),
        )
        for tier in written["tiers"]
    )
    return _checked(OveragePrice(scheme=Scheme(mode), tiers=tiers, **common))


def _check_shape(name: str, written: Mapping[str, Any]) -> None:
    """Refuse what would be read as something else: a misspelt field, a rounding that is neither up nor down."""
    tiers, package = written.get("tiers", []), written.get("package", {})
    if not isinstance(tiers, list) or not all(isinstance(tier, Mapping) for tier in tiers):
        raise InvalidOveragePriceError(f"{name}: tiers {tiers!r} are no list; write - {{up_to: inf, unit_amount: 10}}")
    if not isinstance(package, Mapping) or package.get("round", "up") not in ("up", "down"):
        raise InvalidOveragePriceError(f"{name}: package {package!r} is none; write package: {{size: 100, round: up}}")
    known = {"currency", "unit_amount", "mode", "tiers", "package", "minimum", "cap"}
    unknown = {str(field) for field in written if field not in known}
    unknown |= {f"tiers.{field}" for tier in tiers for field in tier if field not in TIER_FIELDS}
    unknown |= {f"package.{field}" for field in package if field not in {"size", "round"}}
    if unknown:
        raise InvalidOveragePriceError(
            f"{name}: {min(unknown)} is no part of a price; write for example unit_amount: 10"
        )


def _packages(price: OveragePrice, units: int) -> int:
    whole, rest = divmod(units, price.divide_by)
    return whole + (1 if rest and price.rounds_up else 0)


def _tier_parts(price: OveragePrice, units: int) -> Iterator[ChargePart]:
    below = 0
    for number, tier in enumerate(price.tiers, 1):
        is_last = tier.up_to is None or units <= tier.up_to
        if price.scheme is Scheme.VOLUME:
            if is_last:
                yield from _parts_of(tier, units, f"tier {number}")
                return
            continue
        covered = units if is_last or tier.up_to is None else tier.up_to
        if covered > below:
            yield from _parts_of(tier, covered - below, f"tier {number}" if len(price.tiers) > 1 else "units")
        if is_last:
            return
        below = covered


def _parts_of(tier: Tier, units: int, what: str) -> Iterator[ChargePart]:
    yield ChargePart(what, units, tier.unit_amount, _rounded(tier.unit_amount, units))
    if tier.flat_amount:
        yield ChargePart(f"{what}, flat fee", 1, tier.flat_amount, _rounded(tier.flat_amount, 1))


def _rounded(unit_amount: Decimal, units: int) -> int:
    exact = _EXACT.multiply(unit_amount, Decimal(units))
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP, context=_EXACT))


def _checked(price: OveragePrice) -> OveragePrice:
    if len(price.currency) != 3 or not price.currency.isalpha():  # noqa: PLR2004 - ISO 4217
        raise InvalidOveragePriceError(f"{price.source}: currency {price.currency!r} has no three letters; write usd")
    bounds: Sequence[int | None] = [tier.up_to for tier in price.tiers]
    ends = [bound for bound in bounds if bound is not None]
    if not bounds or bounds[-1] is not None or len(ends) != len(bounds) - 1 or ends != sorted(set(ends)):
        raise InvalidOveragePriceError(
            f"{price.source}: tiers end at {bounds}: each must end above the one before, and the last has no end "
            "(up_to: inf)"
        )
    if price.divide_by < 1:
        raise InvalidOveragePriceError(f"{price.source}: packages of {price.divide_by} are none; write 1 or more")
    if price.cap_minor is not None and price.cap_minor < price.minimum_minor:
        raise InvalidOveragePriceError(
            f"{price.source}: the cap {price.cap_minor} lies below the minimum {price.minimum_minor}"
        )
    return price


def _stripe_tier(tier: Mapping[str, Any], source: str) -> Tier:
    return Tier(
        tier.get("up_to"),
        _decimal(tier.get("unit_amount_decimal") or tier.get("unit_amount") or 0, source, "unit_amount"),
        _decimal(tier.get("flat_amount_decimal") or tier.get("flat_amount") or 0, source, "flat_amount"),
    )


def _decimal(value: object, source: str, name: str) -> Decimal:
    try:
        read = Decimal(str(value))
    except InvalidOperation:
        read = Decimal("NaN")
    exponent = read.as_tuple().exponent
    if isinstance(value, float) or not isinstance(exponent, int) or read < 0 or -exponent > DECIMALS:
        raise InvalidOveragePriceError(
            f"{source}: {name} {value!r} is no amount of minor units; write 10, or with decimals as text: '0.5'"
        )
    return read


def _whole(value: object, source: str, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not str(value).isdecimal():
        raise InvalidOveragePriceError(f"{source}: {name} {value!r} is no whole number; write for example 50")
    return int(str(value))
