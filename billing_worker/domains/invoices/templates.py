"""The template of invoices: where it is and what stands in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from billing_worker.domains.invoices.errors import TemplateMissingError

TEMPLATE = "invoice.typ"
LOGOS = ("logo.svg", "logo.png")
DEFAULT_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class InvoiceTemplate:
    """A folder with `invoice.typ`, a logo perhaps, and whatever they include; nothing outside it can be read."""

    folder: Path

    @property
    def main(self) -> Path:
        """Return the file that is compiled."""
        return self.folder / TEMPLATE

    @property
    def logo(self) -> str:
        """Name the logo beside the template, or nothing."""
        return next((name for name in LOGOS if (self.folder / name).is_file()), "")

    def digest(self) -> str:
        """Return a digest of every file of the folder: another template makes another PDF."""
        digest = hashlib.sha256()
        for path in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(self.folder)}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()


def find_template(folder: Path | None) -> InvoiceTemplate:
    """Return the template of PDF_TEMPLATE_DIR, or ours where that is not set.

    Raises: TemplateMissingError.
    """
    template = InvoiceTemplate((folder or DEFAULT_FOLDER).resolve())
    if not template.main.is_file():
        raise TemplateMissingError(
            f"there is no {TEMPLATE} in PDF_TEMPLATE_DIR={template.folder}: "
            f"`nself billing invoice show-template --copy-to {template.folder}` puts ours there to be edited"
        )
    return template
