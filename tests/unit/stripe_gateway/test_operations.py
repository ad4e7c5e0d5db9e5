"""Every request that we can make is one that the installed SDK's own types accept."""

from __future__ import annotations

import re

import pytest

from billing_worker.domains.reconciliation.rules import DEFAULT_TYPES, LIST_PARAMS, WITHOUT_CREATED_FILTER
from billing_worker.kernel.errors import InvalidValueError
from billing_worker.mirror.registry import REGISTRY
from billing_worker.stripe_gateway import schema
from billing_worker.stripe_gateway.operations import OPERATIONS, READ_PATHS, Operation, operation_named, read_path

ALL = sorted(OPERATIONS.values(), key=lambda operation: operation.name)


def by_name(operation: Operation) -> str:
    return operation.name


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_every_operation_exists_and_takes_metadata_where_we_send_it(operation: Operation) -> None:
    known = schema.operation(operation.method, operation.path)
    assert known is not None
    if operation.takes_metadata:
        assert "metadata" in known.fields


@pytest.mark.parametrize("operation", [one for one in ALL if one.list_path], ids=by_name)
def test_every_look_up_is_a_list_that_accepts_our_filters(operation: Operation) -> None:
    known = schema.operation("get", f"/v1/{operation.list_path}")
    assert known is not None
    wanted = {"created", "limit", "starting_after", *operation.list_filters, *dict(operation.list_params)}
    assert wanted <= set(known.fields)


@pytest.mark.parametrize("operation", ALL, ids=by_name)
def test_what_moves_money_can_be_proved(operation: Operation) -> None:
    if operation.moves_money:
        assert operation.list_path or operation.done_when or operation.is_repeatable


@pytest.mark.parametrize("object_type", sorted(READ_PATHS))
def test_every_read_path_exists(object_type: str) -> None:
    path = re.sub(r"{id}", "{x}", READ_PATHS[object_type])
    assert schema.operation("get", path) is not None


@pytest.mark.parametrize("object_type", DEFAULT_TYPES)
def test_every_compared_type_can_be_listed_and_read_one_by_one(object_type: str) -> None:
    known = schema.operation("get", str(REGISTRY[object_type].path))
    assert known is not None
    assert ("created" in known.fields) == (object_type not in WITHOUT_CREATED_FILTER)
    assert set(LIST_PARAMS.get(object_type, {})) <= set(known.fields)
    assert object_type in READ_PATHS


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"no Stripe operation is called invoices\.burn"):
        operation_named("invoices.burn")
    with pytest.raises(InvalidValueError, match="balance"):
        read_path("balance", "x")
