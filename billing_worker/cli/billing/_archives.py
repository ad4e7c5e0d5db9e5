"""Opens the places that archives lie in."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from billing_worker.cli._lazy import lazy_module
from billing_worker.kernel.errors import UnavailableError

if TYPE_CHECKING:
    import boto3

    from billing_worker.domains.usage import archive_stores
    from billing_worker.domains.usage.archive_stores import ArchiveStore
    from billing_worker.runtime.settings import Settings
else:
    boto3 = lazy_module("boto3")
    archive_stores = lazy_module("billing_worker.domains.usage.archive_stores")


def require_archive_parts() -> None:
    """Refuse where the optional parts are not installed.

    Raises: UnavailableError.
    """
    if missing := [name for name in ("pyarrow", "boto3") if find_spec(name) is None]:
        raise UnavailableError(f"{' and '.join(missing)} is not installed: pip install 'nself-billing[archive]'")


def open_target(settings: Settings, *, to_s3: bool, to_file: Path | None) -> ArchiveStore:
    """Return where an archive is written to.

    Raises: click.UsageError when it is not said once.
    """
    if to_s3 == (to_file is not None):
        raise click.UsageError("say once where to: --to-s3 or --to-file DIR")
    if to_file is not None:
        return archive_stores.FolderStore(to_file)
    if not settings.usage_archive_s3.startswith("s3://"):
        raise click.UsageError("no bucket is set: nself env set USAGE_ARCHIVE_S3=s3://bucket/prefix")
    return open_place(settings, settings.usage_archive_s3)


def open_place(settings: Settings, location: str) -> ArchiveStore:
    """Return the store of a location."""
    if not location.startswith("s3://"):
        return archive_stores.FolderStore(Path(location).parent)
    client = boto3.client("s3", endpoint_url=settings.usage_archive_s3_endpoint or None)
    return archive_stores.BucketStore(client, location)
