"""States of a rendered invoice."""

from __future__ import annotations

from enum import StrEnum


class PdfStatus(StrEnum):
    """How far a PDF is.

    Shape: queued → rendering → rendered | failed; a worker that dies while rendering leaves a lease that ends.
    """

    QUEUED = "queued"
    RENDERING = "rendering"
    RENDERED = "rendered"
    FAILED = "failed"
