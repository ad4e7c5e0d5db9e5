"""What parameters each Stripe operation accepts, read from the installed SDK's own type files.

The SDK is not imported: its generated sources are parsed, one operation at a time, when first asked for.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from billing_worker.kernel.errors import TerminalError

Raw = str | Mapping[str, Any]
"""A value as the wire has it: text, or a level of bracketed keys."""

_DEF = re.compile(r"^    def ", re.MULTILINE)
_REQUEST = re.compile(r'self\._request\(\s*"(\w+)",\s*"(/v\d/[^"]*)"')
_PARAMS = re.compile(r'params:\s*(?:Optional\[\s*)?"(\w+)"')
_IMPORT = re.compile(r"from (stripe\.params[\w.]*) import \(?\s*(\w+)")
_ATTRIBUTE = re.compile(r"^ +(\w+): ", re.MULTILINE)
_EXPANDABLE = re.compile(r"^ +(\w+): [^:]*?\bExpandableField\[", re.MULTILINE)
_FILES = {"invoiceitem": "invoice_item", "line_item": "invoice_line_item", "item": "line_item"}
"""Objects whose file has another name."""
_INTEGER = re.compile(r"[+-]?\d+")


class ParameterError(TerminalError):
    """A parameter is one that Stripe does not accept here."""

    def __init__(self, message: str, *, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Kind:
    """One form a value may take: a scalar's name, `literal`, `list`, `map` or `shape` with its class name."""

    name: str
    inner: tuple[Kind, ...] = ()
    label: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One accepted parameter."""

    is_required: bool
    kinds: tuple[Kind, ...]


Shape = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class Attributes:
    """The names that occur in an object, at any depth, and those of them that hold references."""

    names: frozenset[str] = frozenset()
    expandable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of the API: its parameters and the nested shapes they use."""

    method: str
    path: str
    fields: Shape
    shapes: Mapping[str, Shape]

    def decode(self, raw: Mapping[str, Any], *, is_open: bool = False) -> dict[str, Any]:
        """Turn bracketed text into typed values.

        Shape: `is_open` takes any word where an enumeration is expected, as one of an older version may be.
        Raises: ParameterError for unknown, missing and malformed parameters, as Stripe words them.
        """
        return _decode_shape(raw, self.fields, _Rules(self.shapes, is_open), "")


@dataclass(frozen=True, slots=True)
class _Rules:
    shapes: Mapping[str, Shape]
    is_open: bool


@cache
def operation(method: str, path: str) -> Operation | None:
    """Find an operation by HTTP method and path template, for example `/v1/invoices/{invoice}/pay`."""
    found = _index().get((method.upper(), _anonymous(path)))
    if found is None:
        return None
    module, params_class = found
    shapes = _shapes(module)
    return Operation(method.upper(), path, shapes[params_class], shapes)


def operations() -> list[tuple[str, str]]:
    """List (method, path with unnamed placeholders) of every operation the SDK knows."""
    return sorted(_index())


@cache
def attributes_of(object_name: str) -> Attributes:
    """Tell what an object such as `checkout.session` is made of; nothing for one that the SDK does not know."""
    *folders, name = object_name.split(".")
    file = _sdk_root().joinpath(*folders, f"_{_FILES.get(name, name)}.py")
    if not file.exists():
        return Attributes()
    source = file.read_text(encoding="utf-8")
    return Attributes(frozenset(_ATTRIBUTE.findall(source)), frozenset(_EXPANDABLE.findall(source)))


def _anonymous(path: str) -> str:
    return re.sub(r"{\w+}", "{}", path)


@cache
def _sdk_root() -> Path:
    spec = importlib.util.find_spec("stripe")
    if spec is None or not spec.submodule_search_locations:
        raise TerminalError("the stripe package is not installed: pip install stripe")
    return Path(spec.submodule_search_locations[0])


@cache
def _index() -> Mapping[tuple[str, str], tuple[str, str]]:
    index: dict[tuple[str, str], tuple[str, str]] = {}
    for file in sorted(_sdk_root().rglob("_*_service.py")):
        source = file.read_text(encoding="utf-8")
        modules = {name: module for module, name in _IMPORT.findall(source)}
        for block in _DEF.split(source)[1:]:
            request, params = _REQUEST.search(block), _PARAMS.search(block)
            if request and params and params[1] in modules:
                index[request[1].upper(), _anonymous(request[2])] = (modules[params[1]], params[1])
    return index


@cache
def _shapes(module: str) -> Mapping[str, Shape]:
    file = _sdk_root().joinpath(*module.split(".")[1:]).with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name: dict(_fields(node)) for node in tree.body if isinstance(node, ast.ClassDef)} | {
        # `X = TypedDict("X", {...})` is how the SDK writes shapes whose keys are Python keywords.
        target.id: dict(_functional_fields(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _fields(node: ast.ClassDef) -> Iterator[tuple[str, Field]]:
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, _field(statement.annotation)


def _functional_fields(call: ast.Call) -> Iterator[tuple[str, Field]]:
    for argument in call.args:
        if isinstance(argument, ast.Dict):
            for key, annotation in zip(argument.keys, argument.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, _field(annotation)


def _field(annotation: ast.expr) -> Field:
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "NotRequired":
        return Field(is_required=False, kinds=tuple(_kinds(annotation.slice)))
    return Field(is_required=True, kinds=tuple(_kinds(annotation)))


_SCALARS = {"str": "str", "int": "int", "bool": "bool", "float": "float", "Decimal": "decimal", "AmountParam": "int"}


def _kinds(node: ast.expr) -> Iterator[Kind]:
    match node:
        case ast.Constant(value=str() as quoted):
            yield from _kinds(ast.parse(quoted, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            yield from _kinds(left)
            yield from _kinds(right)
        case ast.Name(id=name):
            yield Kind(_SCALARS[name]) if name in _SCALARS else Kind("shape", label=name)
        case ast.Subscript(value=ast.Name(id=outer), slice=inner):
            yield from _subscript(outer, inner)
        case _:
            yield Kind("str")


def _subscript(outer: str, inner: ast.expr) -> Iterator[Kind]:
    parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if outer in {"Union", "Optional"}:
        for part in parts:
            yield from _kinds(part)
    elif outer == "Literal":
        for part in parts:
            yield Kind("literal", label=str(ast.literal_eval(part)))
    elif outer in {"List", "Sequence"}:
        yield Kind("list", tuple(_kinds(parts[0])))
    else:
        yield Kind("map", tuple(_kinds(parts[-1])))


def _decode_shape(raw: Mapping[str, Any], fields: Shape, rules: _Rules, prefix: str) -> dict[str, Any]:
    unknown = [_join(prefix, name) for name in raw if name not in fields]
    if unknown:
        noun = "parameter" if len(unknown) == 1 else "parameters"
        raise ParameterError(
            f"Received unknown {noun}: {', '.join(unknown)}", param=unknown[0], code="parameter_unknown"
        )
    for name, field in fields.items():
        if field.is_required and name not in raw:
            param = _join(prefix, name)
            raise ParameterError(f"Missing required param: {param}.", param=param, code="parameter_missing")
    return {name: _decode(value, fields[name], rules, _join(prefix, name)) for name, value in raw.items()}


def _join(prefix: str, name: str) -> str:
    return f"{prefix}[{name}]" if prefix else name


def _decode(value: Any, field: Field, rules: _Rules, param: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, Mapping):
        return _decode_nested(value, field.kinds, rules, param)
    text = str(value)
    if text == "":
        return _decode_empty(field, param)
    return _decode_scalar(text, field.kinds, param, is_open=rules.is_open)


def _decode_empty(field: Field, param: str) -> str:
    names = {kind.name for kind in field.kinds}
    clearable = any(kind == Kind("literal") for kind in field.kinds)
    if clearable or ("str" in names and not field.is_required):
        return ""
    raise ParameterError(
        f"You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; "
        f"however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty "
        "value.",
        param=param,
        code="parameter_invalid_empty",
    )


def _decode_nested(raw: Mapping[str, Any], kinds: tuple[Kind, ...], rules: _Rules, param: str) -> Any:  # noqa: ANN401 - any JSON value
    by_name = {kind.name: kind for kind in kinds}
    looks_like_list = all(key.isdecimal() or key == "" for key in raw)
    if "list" in by_name and looks_like_list:
        item = Field(is_required=False, kinds=by_name["list"].inner)
        return [_decode(value, item, rules, _join(param, key)) for key, value in _ordered(raw, param)]
    if "shape" in by_name:
        shape = rules.shapes.get(by_name["shape"].label)
        return dict(raw) if shape is None else _decode_shape(raw, shape, rules, param)
    if "map" in by_name:
        item = Field(is_required=False, kinds=by_name["map"].inner)
        return {key: _decode(value, item, rules, _join(param, key)) for key, value in raw.items()}
    wanted = "array" if "list" in by_name else "string"
    raise ParameterError(f"Invalid {wanted}", param=param)


def _ordered(raw: Mapping[str, Any], param: str) -> list[tuple[str, Any]]:
    ordered = sorted(raw.items(), key=lambda entry: int(entry[0] or 0))
    for position, (key, _) in enumerate(ordered):
        if int(key or 0) != position:
            raise ParameterError(
                "If passing an array with explicit keys (e.g. foo[0]=a&foo[1]=b) instead of as an array (e.g. "
                "foo[]=a&foo[]=b), the keys must be numeric and sequential starting from 0. You passed the keys "
                f"{', '.join(f'`{given}`' for given, _ in ordered)}, we expected to have a key with the value "
                f"`{position}`.",
                param=param,
            )
    return ordered


def _decode_scalar(text: str, kinds: tuple[Kind, ...], param: str, *, is_open: bool) -> Any:  # noqa: ANN401 - any JSON scalar
    names = [kind.name for kind in kinds]
    if any(kind.name == "literal" and kind.label == text for kind in kinds):
        return text
    for name in names:
        parsed = _parse_scalar(name, text)
        if parsed is not None:
            return parsed
    # The SDK types an enumeration as open, because answers may bring new words; requests may not.
    if "str" in names and (is_open or not any(kind.name == "literal" and kind.label for kind in kinds)):
        return text
    raise _invalid(names, kinds, text, param)


def _parse_scalar(name: str, text: str) -> int | bool | float | str | None:
    if name == "int" and _INTEGER.fullmatch(text):
        return int(text)
    if name == "bool" and text in {"true", "false"}:
        return text == "true"
    if name in {"float", "decimal"}:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return None
        if number.is_finite():
            return float(number) if name == "float" else text
    return None


def _invalid(names: list[str], kinds: tuple[Kind, ...], text: str, param: str) -> ParameterError:
    wordings = {
        "int": (f"Invalid integer: {text}", "parameter_invalid_integer"),
        "bool": (f"Invalid boolean: {text}", None),
        "float": (f"Invalid decimal: {text}", None),
        "decimal": (f"Invalid decimal: {text}", None),
        "list": ("Invalid array", None),
        "shape": ("Invalid object", None),
        "map": ("Invalid object", None),
    }
    for name, (message, code) in wordings.items():
        if name in names:
            return ParameterError(message, param=param, code=code)
    *allowed, last = [kind.label for kind in kinds if kind.name == "literal" and kind.label]
    either = f"{', '.join(allowed)}{',' * (len(allowed) > 1)} or {last}" if allowed else last
    return ParameterError(f"Invalid {param}: must be one of {either}", param=param)
