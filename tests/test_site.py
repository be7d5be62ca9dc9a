"""The pages of the site, before it is built: each is listed, and each link between two leads there.

`make docs` refuses the same; this needs nothing that it installs.
"""

from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAVIGATION = runpy.run_path(str(ROOT / "docs" / "conf.py"))["NAVIGATION"]
LISTED = ["README", *(page for pages in NAVIGATION.values() for page in pages)]
PAGES = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "docs/**/*.md", "docs/**/*.ipynb")
    for path in ROOT.glob(pattern)
)


def text_of(page: Path) -> str:
    """What a reader sees of it, without listings; of a notebook the cells of text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Of its headings, as repositories and the site make them; the commands' are made of a list."""
    made: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", text_of(page), re.M):
        kept = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        made.append(f"{kept}-{made.count(kept)}" if kept in made else kept)
    if page == Path("docs/commands.md"):
        from bertjax.cli.main import VERBS

        made += [f"bertjax-{verb}" for verb in VERBS]
    return set(made)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that a page links to, and where in them."""
    for target in re.findall(r"\]\((?!https?:|path:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = target.partition("#")
        yield ((ROOT / page).parent / path if path else ROOT / page).resolve(), anchor


def test_every_page_is_listed_once_and_each_listed_page_is_there():
    assert Counter(str(page.with_suffix("")) for page in PAGES) == Counter(LISTED)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_to_files_and_headings(page):
    for path, anchor in links(page):
        assert path.is_file(), f"{page} links to {path}"  # the site has no page of a folder
        relative = path.relative_to(ROOT)
        assert not anchor or anchor in anchors(relative), f"{page} links to {relative}#{anchor}"


def test_there_are_links_to_check():
    found = [link for page in PAGES for link in links(page)]
    assert len(found) > 40 and any(anchor for _, anchor in found)
