"""What stands on paper: text is taken out of the PDF again, and pages are rendered to see that they are not blank."""

from __future__ import annotations

from pathlib import Path

import pytest

from billing_worker.domains.invoices.errors import TemplateMissingError, TypesettingError
from billing_worker.domains.invoices.templates import TEMPLATE, find_template
from billing_worker.domains.invoices.typesetter import Typesetter, find_font_folders
from billing_worker.domains.invoices.typesetting_child import order_families
from tests.support.pages import document, ink, line, texts

MEGABYTE = 1024**2


def typesetter(folder: Path | None = None, *, memory: int = 512, seconds: int = 60) -> Typesetter:
    return Typesetter(find_template(folder), memory * MEGABYTE, seconds, find_font_folders())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_an_invoice_is_one_page_of_selectable_text_and_always_the_same_bytes() -> None:
    told = document(line("Pro plan", 4900), line("API calls", 1250, 2500, metadata={"nself_overage": "q"}))
    made = typesetter().typeset(told)

    [page] = texts(made.body)
    assert made.pages == 1
    for words in (
        "Invoice",
        "EX-0042",
        "Example, Inc.",
        "Ann Example",
        "Pro plan",
        "2,500",
        "61.50 USD",
        "Page 1 of 1",
    ):
        assert words in page, words
    assert 0.01 < ink(made.body) < 0.2
    assert made.remarks == ""
    assert 0 < made.peak_memory_bytes < 512 * MEGABYTE
    assert typesetter().typeset(told).body == made.body


def test_two_hundred_lines_go_over_pages_with_their_head_and_number() -> None:
    unbroken = "Averylongwordwithoutanyblank" * 20
    made = typesetter().typeset(document(*(line(f"Seat {n}", 100 * n) for n in range(1, 200)), line(unbroken, 1)))

    pages = texts(made.body)
    assert len(pages) == made.pages > 5
    assert all("Unit price" in page for page in pages[:-1])
    assert all(f"Page {n} of {made.pages}" in page for n, page in enumerate(pages, 1))
    everything = "".join(pages)
    assert [n for n in range(1, 200) if f"Seat {n}" not in everything] == []
    assert "Amount due" in pages[-1]


def test_names_of_every_script_are_there() -> None:
    names = ("株式会社テスト", "חברת תקווה", "Ελληνική", "Москва", "Łódź", 'Söhne "GmbH"')
    made = typesetter().typeset(
        document(*(line(name, 100) for name in names), line("شركة الأمل", 100), customer_name=names[0])
    )
    [page] = texts(made.body)
    assert [name for name in names if name not in page] == []
    assert made.remarks == ""


def test_what_no_font_has_is_told() -> None:
    made = typesetter().typeset(document(line("\N{LINEAR B SYLLABLE B008 A}Ω", 100), customer_name="株"))
    assert made.remarks == "no font has \N{LINEAR B SYLLABLE B008 A} (PDF_FONT_DIR names more fonts)"


def test_a_han_sign_is_drawn_as_in_its_region() -> None:
    every = frozenset({"Noto Sans", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR"})
    assert order_families(every, "CN")[1] == "Noto Sans SC"
    assert order_families(every, "SG")[1] == "Noto Sans SC"
    assert order_families(every, "DE")[1] == "Noto Sans JP"
    assert order_families(frozenset({"Libertinus Serif"}), "JP") == ["Libertinus Serif"]


def test_names_are_data_and_never_code() -> None:
    evil = '#read("/etc/passwd") $x$ *b* #panic("x") ]) \\ "'
    made = typesetter().typeset(document(line(evil, 100), customer_name=evil, footer=evil))
    assert texts(made.body)[0].count('#read("/etc/passwd") $x$ *b* #panic("x") ])') == 3


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('#read("/../secret.txt")', "outside of project root|cannot access|escape"),
        ('#import "@preview/cetz:0.3.0"', "package"),
        ("#unknown-thing", "unknown variable"),
        ('#panic("enough")', "enough"),
    ],
)
def test_a_template_reaches_nothing_outside_its_folder_and_says_where_it_fails(
    own: Path, source: str, why: str
) -> None:
    (own.parent / "secret.txt").write_text("secret")
    (own / TEMPLATE).write_text(source)
    with pytest.raises(TypesettingError, match=rf"the template .*(?:{why})"):
        typesetter(own).typeset(document(line("Pro", 1)))


def test_a_template_that_wants_too_much_memory_is_stopped_with_the_remedy(own: Path) -> None:
    (own / TEMPLATE).write_text('#let a = range(9000000).map(x => str(x) + "................")\n#a.len()')
    with pytest.raises(TypesettingError, match=r"more than PDF_MEMORY_LIMIT=192M.*PDF_MEMORY_LIMIT=384M"):
        typesetter(own, memory=192).typeset(document(line("Pro", 1)))


def test_a_template_that_never_ends_is_stopped(own: Path) -> None:
    # two short ranges: one long one would be memory first
    (own / TEMPLATE).write_text(
        "#let f(n) = { let x = 0; for i in range(n) { for j in range(n) { x = calc.rem(x + j, 7) } }; x }\n#f(30000)"
    )
    with pytest.raises(TypesettingError, match="longer than PDF_TIMEOUT=1s"):
        typesetter(own, memory=2000, seconds=1).typeset(document(line("Pro", 1)))


def test_an_own_template_has_its_logo_and_its_own_digest(own: Path) -> None:
    with pytest.raises(TemplateMissingError, match="show-template --copy-to"):
        find_template(own)
    (own / TEMPLATE).write_text("#image(sys.inputs.logo)\n#json(bytes(sys.inputs.document)).number")
    before = find_template(own).digest()
    (own / "logo.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><rect width="90" height="90"/></svg>'
    )
    assert find_template(own).digest() != before
    made = typesetter(own).typeset(document(line("Pro", 1)))
    assert texts(made.body)[0].strip() == "EX-0042"
    assert ink(made.body) > 0.008
