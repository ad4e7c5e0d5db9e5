"""The typesetter: a process of its own for each PDF, which a document that needs too much takes down alone."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from billing_worker.domains.invoices.errors import TypesettingError
from billing_worker.domains.invoices.templates import InvoiceTemplate, find_template
from billing_worker.runtime.settings import Settings

CHILD = Path(__file__).with_name("typesetting_child.py")
LONGEST_REASON = 1000
MOST_SIGNS = 40

FONT_PACKAGES = (
    "fontpkg_noto_sans",
    *(f"pylopdf_fonts_{script}" for script in ("ar", "he", "hi", "th", "jp", "ko", "zh_cn", "zh_tw")),
)
"""Python packages that carry free fonts; those that are installed are used."""

_ENVIRONMENT = {
    # one thread and one arena: what is measured is the document's own memory, not the allocator's reserves
    "RAYON_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    # a template that names a package would fetch it: it finds nobody there
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9"),
}


@dataclass(frozen=True, slots=True)
class TypesetPdf:
    """A PDF and what it took."""

    body: bytes
    pages: int
    duration_ms: int
    peak_memory_bytes: int
    remarks: str


@dataclass(frozen=True, slots=True)
class Typesetter:
    """Makes PDFs of documents with one template under one limit of memory and one of time."""

    template: InvoiceTemplate
    memory_bytes: int
    seconds: int
    font_folders: tuple[str, ...]

    @classmethod
    def from_settings(cls, settings: Settings) -> Typesetter:
        """Build the typesetter that the settings describe.

        Raises: TemplateMissingError.
        """
        own = () if settings.pdf_font_dir is None else (str(settings.pdf_font_dir.resolve()),)
        return cls(
            template=find_template(settings.pdf_template_dir),
            memory_bytes=settings.pdf_memory_limit,
            seconds=max(int(settings.pdf_timeout.total_seconds()), 1),
            font_folders=(*own, *find_font_folders()),
        )

    def typeset(self, document: Mapping[str, Any]) -> TypesetPdf:
        """Make the PDF of a document.

        Idempotent by: template and document: the same give the same bytes.
        Raises: TypesettingError with the reason, when the child refused, took too much or too long.
        """
        job = {
            "document": document,
            "template": str(self.template.main),
            "root": str(self.template.folder),
            "logo": self.template.logo,
            "font_folders": self.font_folders,
            "memory_bytes": self.memory_bytes,
            "seconds": self.seconds,
            "timestamp": document.get("timestamp"),
        }
        # the dependencies may come from this process's own path; -P keeps the slice's folder from shadowing any
        environment = {**_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-s", str(CHILD)],
            input=json.dumps(job).encode(),
            env=environment,
            cwd=self.template.folder,
            capture_output=True,
            check=False,
        )
        report = _last_report(done.stderr)
        if done.returncode != 0:
            raise TypesettingError(self._explain(done.returncode, report, done.stderr))
        remarks = list(report["warnings"])
        if report["missing"]:
            remarks.insert(0, f"no font has {' '.join(report['missing'][:MOST_SIGNS])} (PDF_FONT_DIR names more fonts)")
        return TypesetPdf(
            body=done.stdout,
            pages=report["pages"],
            duration_ms=round((time.monotonic() - began) * 1000),
            peak_memory_bytes=report["peak_memory_bytes"],
            remarks="; ".join(remarks)[:LONGEST_REASON],
        )

    def _explain(self, code: int, report: Mapping[str, Any], stderr: bytes) -> str:
        if code == -signal.SIGALRM:
            return f"it took longer than PDF_TIMEOUT={self.seconds}s"
        if report.get("error") == "template":
            return f"the template {self.template.main} failed: {report['told']}"[:LONGEST_REASON]
        if report.get("error") == "memory" or b"memory allocation" in stderr or b"MemoryError" in stderr:
            limit = self.memory_bytes // 1024**2
            return (
                f"it needed more than PDF_MEMORY_LIMIT={limit}M: "
                f"`nself env set PDF_MEMORY_LIMIT={2 * limit}M`, then `nself restart pdf-generator`"
            )
        told = stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return f"the typesetter ended with code {code}: {told}"[:LONGEST_REASON]


def find_font_folders() -> tuple[str, ...]:
    """Return where the installed font packages have their files."""
    found = [importlib.util.find_spec(name) for name in FONT_PACKAGES]
    return tuple(folder for spec in found if spec is not None for folder in spec.submodule_search_locations or ())


def _last_report(stderr: bytes) -> Mapping[str, Any]:
    last = stderr.strip().rpartition(b"\n")[2]
    try:
        report = json.loads(last)
    except ValueError:
        return {}
    return report if isinstance(report, dict) else {}
