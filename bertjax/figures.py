"""How what people call things is written in pictures: as it stands, in fonts that have it.

matplotlib comes with the extra `bertjax[plots]`.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any

# Families with Chinese, Japanese and Korean, of Linux, Windows and macOS: DejaVu has none of it.
WIDE = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Heiti SC"),
    *("Noto Sans CJK JP", "Noto Sans CJK KR", "Arial Unicode MS"),
)
_GLYPH = re.compile(r"Glyph (\d+) .*missing from font")


def can_draw() -> bool:
    """Whether matplotlib is there."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


@contextlib.contextmanager
def lettering() -> Iterator[set[str]]:
    """Draw texts as they stand: no formulas between dollars, and fonts for every script there is.

    Yields the characters that no font of this machine has, known once the figures are saved.
    """
    import matplotlib
    from matplotlib.font_manager import get_font_names

    there, missing = set(get_font_names()), set[str]()
    families = [*matplotlib.rcParams["font.family"], *(name for name in WIDE if name in there)]
    show = warnings.showwarning

    def kept(message: Warning | str, *about: Any, **more: Any) -> None:
        if found := _GLYPH.match(str(message)):
            missing.add(chr(int(found[1])))
        else:
            show(message, *about, **more)

    settings = {"text.parse_math": False, "font.family": families}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("always", _GLYPH.pattern)
        warnings.showwarning = kept
        yield missing
