"""The declarative base: naming convention, aware times, checked-text enums."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import BigInteger, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

EnumT = TypeVar("EnumT", bound=StrEnum)


class Base(DeclarativeBase):
    """Rows of schema `billing`."""

    metadata = MetaData(
        schema="billing",
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "pk": "pk_%(table_name)s",
        },
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        int: BigInteger,
        str: Text,
    }


class EnumText(TypeDecorator[EnumT]):
    """Text in the database, a StrEnum member in Python; an unknown text is an error, not a string."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[EnumT]) -> None:
        super().__init__()
        self._enum = enum

    def process_bind_param(self, value: EnumT | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - interface
        """Store the member's value."""
        return None if value is None else self._enum(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> EnumT | None:  # noqa: ANN401, ARG002
        """Give the member back."""
        return None if value is None else self._enum(value)
