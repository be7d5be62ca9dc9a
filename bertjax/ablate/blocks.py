"""A report as a list of blocks, and the forms in which it is written: Markdown, HTML, text."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """The title of a section."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Rows:
    """A table; its first column names the rows."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    """A chart, and what it shows in words."""

    svg: str
    caption: str


Block = Heading | Text | Items | Rows | Picture


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The report for a terminal or a repository; of pictures the caption alone."""
    return "\n\n".join([f"# {title}", *map(_markdown, blocks)]) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Text(text):
            return text
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Rows(header, rows):
            lines = [header, ["---"] * len(header), *rows]
            return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
        case Picture(_, caption):
            return f"(report.html has the picture) {caption}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def to_text(blocks: Sequence[Block]) -> str:
    """The report for a terminal, without pictures."""
    return "\n\n".join(_plain(block) for block in blocks if not isinstance(block, Picture))


def _plain(block: Block) -> str:
    if not isinstance(block, Rows):
        return _markdown(block).removeprefix("## ")
    lines = [block.header, *block.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


# One page that needs nothing from elsewhere; tables scroll by themselves on a narrow screen.
_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#777}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left}
figure{margin:1rem 0}svg{width:100%;max-width:40rem;height:auto;background:#fff;border-radius:6px}
ul{padding-left:1.1rem}figcaption{color:var(--soft);font-size:.875rem}
li{margin:.4rem 0;overflow-wrap:anywhere}
"""


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """The report as one page."""
    title = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(map(_html, blocks))
        + "\n</body></html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{html.escape(text)}</h2>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Items(items):
            return f"<ul>{''.join(f'<li>{html.escape(item)}</li>' for item in items)}</ul>"
        case Rows(header, rows):
            head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
            body = "\n".join(
                f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>"
                for row in rows
            )
            return f'<div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'
        case Picture(svg, caption):
            words = html.escape(caption)
            return f"<figure>{svg}<figcaption>{words}</figcaption></figure>"
