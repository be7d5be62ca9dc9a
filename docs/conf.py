"""How Sphinx makes the site (`make docs`): of README, the pages in this folder, and docstrings.

Pages are read where they lie, from the root of the repository, so a link from one page to another
leads there in the repository and on the site.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import made_pages

HOME = "README"
# What the side bar lists, under its headings. A page that is not listed fails the build.
NAVIGATION = {
    "Start": [
        "docs/first_steps",
        "docs/guides/pretraining",
        "docs/guides/finetuning",
        "docs/guides/python",
    ],
    "Guides": [
        "docs/guides/adapting",
        "docs/guides/chinese",
        "docs/guides/ablations",
        "docs/guides/unlabelled",
        "docs/guides/fusing",
        "docs/guides/few-weights",
        "docs/guides/accelerators",
        "docs/guides/reproducing",
        "docs/guides/auditing",
        "docs/guides/probing",
    ],
    "Reference": ["docs/commands", "docs/api", "docs/messages", "docs/reliability"],
    "What was measured": [
        "docs/results",
        "docs/performance",
        "docs/tpu-plans",
        "docs/ablations/README",
        "docs/ablations/nsp",
        "docs/records/README",
        "docs/LOG",
    ],
    "The project": ["docs/design", "CONTRIBUTING", "CHANGELOG"],
}

project = "bertjax"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown", ".ipynb": "markdown"}
root_doc = HOME
include_patterns = ["*.md", "docs/**"]
exclude_patterns = [".*", "build", "data", "hf", "runs", "shared", "site"]

html_theme = "furo"
html_title = "bertjax"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

myst_heading_anchors = 3
smartquotes_action = "D"  # dashes alone: napoleon writes them as --
highlight_language = "text"
default_role = "literal"  # docstrings have code between single backticks
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True


def rewrite(app: Any, page: str, text: list[str]) -> None:
    """What the site has of a page beside what its file says."""
    if page == HOME:
        text[0] += made_pages.contents(NAVIGATION)
    elif page == "docs/commands":
        text[0] += made_pages.commands()
    elif Path(app.env.doc2path(page)).suffix == ".ipynb":
        text[0] = made_pages.notebook(text[0], Path(app.env.doc2path(page)).name)


def open_at_home(app: Any, error: Exception | None) -> None:
    """A server and a person look for index.html first."""
    if error is None:
        shutil.copyfile(Path(app.outdir, f"{HOME}.html"), Path(app.outdir, "index.html"))


def setup(app: Any) -> None:
    app.connect("source-read", rewrite)
    app.connect("build-finished", open_at_home)
