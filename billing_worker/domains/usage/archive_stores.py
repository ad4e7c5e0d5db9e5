"""Where archives lie: a folder, or a bucket of S3's protocol."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from billing_worker.domains.usage.errors import ArchiveError

SCHEME = "s3://"


class ArchiveStore(Protocol):
    """Keeps files by name."""

    def put(self, name: str, content: bytes) -> str:
        """Keep a file and return its location."""
        ...

    def get(self, location: str) -> bytes:
        """Return a file.

        Raises: ArchiveError.
        """
        ...


class FolderStore:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> str:
        """Write the file and make it durable before it has its name."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = (self._folder / name).resolve()
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        return str(path)

    def get(self, location: str) -> bytes:
        """Read the file."""
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise ArchiveError(f"the archive {location} cannot be read: {error.strerror}") from error


class BucketStore:
    """A bucket; `client` is boto3's for S3, with credentials of its own."""

    def __init__(self, client: Any, place: str) -> None:  # noqa: ANN401 - boto3's clients have no types
        self._client = client
        self._bucket, _, self._prefix = place.removeprefix(SCHEME).partition("/")

    def put(self, name: str, content: bytes) -> str:
        """Upload the file."""
        key = f"{self._prefix.rstrip('/')}/{name}".lstrip("/")
        self._client.put_object(Bucket=self._bucket, Key=key, Body=content)
        return f"{SCHEME}{self._bucket}/{key}"

    def get(self, location: str) -> bytes:
        """Download the file."""
        bucket, _, key = location.removeprefix(SCHEME).partition("/")
        return bytes(self._client.get_object(Bucket=bucket, Key=key)["Body"].read())
