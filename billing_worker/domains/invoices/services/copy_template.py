"""Give an operator the template to edit."""

from __future__ import annotations

from pathlib import Path

from billing_worker.domains.invoices.templates import DEFAULT_FOLDER, TEMPLATE
from billing_worker.kernel.errors import RefusedError


def copy_template(folder: Path) -> Path:
    """Write our template into a folder and return where it is.

    Raises: RefusedError when one is there already, or when the folder cannot be written to.
    """
    target = folder / TEMPLATE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.write((DEFAULT_FOLDER / TEMPLATE).read_bytes())
    except FileExistsError:
        raise RefusedError(f"{target} is there already and is left as it is; name another folder") from None
    except OSError as error:
        raise RefusedError(f"{target} cannot be written: {error.strerror}") from error
    return target
