"""The typesetter's own process: under limits of memory and time, without the environment, without the network.

Shape: a JSON job on stdin, the PDF on stdout, a JSON report on stderr. Next to nothing of the project is imported, so
that the memory limit counts for the document alone.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from billing_worker.domains.invoices.glyphs import find_missing

PREFERRED = ("Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai")
EAST_ASIAN = {"JP": "Noto Sans JP", "KR": "Noto Sans KR", "CN": "Noto Sans SC", "TW": "Noto Sans TC"}
SAME_SIGNS = {"HK": "TW", "MO": "TW", "SG": "CN"}
OTHERS = ("Noto Sans CJK JP", "DejaVu Sans", "Libertinus Serif")


def order_families(available: frozenset[str], region: str) -> list[str]:
    """Return the families to use, in order: a Han sign looks different in Tokyo and in Shanghai, its region decides."""
    own = EAST_ASIAN.get(SAME_SIGNS.get(region, region))
    wanted = [*PREFERRED, *([own] if own else []), *EAST_ASIAN.values(), *OTHERS]
    return [family for family in dict.fromkeys(wanted) if family in available]


def set_limits(memory_bytes: int, seconds: int) -> None:
    """Give this process an end: too much memory makes it abort, too much time kills it."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)


def typeset(job: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Compile the job's document with its template."""
    # the memory limit stands before the library takes any
    typst = import_module("typst")

    document = job["document"]
    fonts = typst.Fonts(include_system_fonts=True, font_paths=job["font_folders"])
    families = order_families(frozenset(fonts.families()), str(document.get("region") or ""))
    compiler = typst.Compiler(
        job["template"],
        root=job["root"],
        font_paths=fonts,
        sys_inputs={"document": json.dumps(document), "fonts": json.dumps(families), "logo": job["logo"]},
        # packages would come from the network or from a home directory: there are none
        package_path=job["root"],
        package_cache_path=job["root"],
    )
    pdf, warnings = compiler.compile_with_warnings(format="pdf", timestamp=job["timestamp"])
    if not isinstance(pdf, bytes):
        raise TypeError("the typesetter gave no PDF")
    files = dict.fromkeys((font.path, font.index) for font in fonts.fonts() if font.path)
    missing = find_missing(json.dumps(document, ensure_ascii=False), files)
    return pdf, {
        "missing": missing,
        "pages": len(re.findall(rb"/Type\s*/Page\b", pdf)),
        "warnings": [one.message for one in warnings],
    }


def report_back(report: Mapping[str, Any]) -> None:
    """Write what the parent reads as the last line."""
    sys.stderr.write(json.dumps(report) + "\n")


def main() -> int:
    """Read the job, write the PDF and the report."""
    job = json.load(sys.stdin)
    set_limits(job["memory_bytes"], job["seconds"])
    try:
        pdf, report = typeset(job)
    except MemoryError:
        report_back({"error": "memory"})
        return 1
    except RuntimeError as error:
        # typst's own error: the template is wrong, and the operator who wrote it needs to know where
        told = getattr(error, "diagnostic", "") or str(error)
        report_back({"error": "template", "told": told})
        return 1
    report["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.buffer.write(pdf)
    sys.stdout.flush()
    report_back(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
