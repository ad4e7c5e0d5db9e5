"""Reading a file that names customers: a CSV with a column of ids, or one id a line."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from billing_worker.kernel.errors import InvalidValueError

COLUMNS = ("customer_id", "customer", "id")

_ID = re.compile(r"cus_[A-Za-z0-9_]+")


def read_customer_ids(lines: Iterable[str]) -> list[str]:
    """Return the customers that a file names, each once, in their order.

    Raises: InvalidValueError that names the first line without one: half a list is worse than none.
    """
    rows = [row for row in csv.reader(lines) if any(cell.strip() for cell in row)]
    if not rows:
        raise InvalidValueError("the file names no customer; write for example a column customer_id with cus_123")
    head = [cell.strip().lstrip("\N{ZERO WIDTH NO-BREAK SPACE}").lower() for cell in rows[0]]
    column = next((head.index(name) for name in COLUMNS if name in head), None)
    body = rows if column is None else rows[1:]
    found = [(number, row[column or 0].strip() if len(row) > (column or 0) else "") for number, row in enumerate(body)]
    for number, customer_id in found:
        if _ID.fullmatch(customer_id) is None:
            line = number + (1 if column is None else 2)
            raise InvalidValueError(
                f"line {line} has no customer but {customer_id!r}; write for example cus_123, "
                f"under a head with one of the columns {', '.join(COLUMNS)}"
            )
    return list(dict.fromkeys(customer_id for _, customer_id in found))
