"""What a page shows for readers to type."""

from __future__ import annotations

import re
from pathlib import Path


def commands(page: Path) -> list[str]:
    """The lines of listings that begin with `bertjax`; sample output has `$` before them.

    A command of several lines, each of which but the last ends with a backslash, is one.
    """
    lines = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8")).splitlines()
    return [line.strip() for line in lines if re.match(r"\s{4,}bertjax [a-z]", line)]
