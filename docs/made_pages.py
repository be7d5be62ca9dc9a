"""Markdown that the site has and no file: what the side bar lists, a notebook, the commands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from bertjax.cli.main import TAKES_FIELDS, VERBS
from bertjax.cli.options import fields, flags
from bertjax.config.options import Option


def contents(navigation: dict[str, list[str]]) -> str:
    """The lists of pages, which are shown in the side bar alone."""
    trees = []
    for heading, pages in navigation.items():
        listed = "\n".join(f"/{page}" for page in pages)
        trees.append(f"\n\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{listed}\n```\n")
    return "".join(trees)


def notebook(text: str, name: str) -> str:
    """The cells of a notebook without outputs; one that begins with `!` is for the shell."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            language = "text" if source.startswith("!") else "python"
            source = f"```{language}\n{source}\n```"
        parts.append(source)
    parts.insert(1, f"[Download the notebook](path:{name})")
    return "\n\n".join(parts)


def commands() -> str:
    """What `bertjax VERB --help` and `bertjax options VERB` say of every verb."""
    return "\n\n".join(part for verb in VERBS for part in _command(verb))


def _command(verb: str) -> Iterator[str]:
    yield f"## bertjax {verb}"
    yield VERBS[verb][1]
    typed = ((option, option.name.startswith("--")) for option in flags(verb))
    yield _table(
        ("option", "meaning"),
        ((f"{o.name} {o.value}" if dashes else o.name, o.meaning) for o, dashes in typed),
    )
    if verb not in TAKES_FIELDS:
        return
    shared, own = list(fields("pretrain")), list(fields(verb))
    if verb not in ("pretrain", "finetune"):
        yield "Fields are those of [pretrain](#bertjax-pretrain)."
        own = [field for field in own if field not in shared]
    sections: dict[str, list[Option]] = {}
    for field in own:
        sections.setdefault(_section(field), []).append(field)
    for section, options in sections.items():
        yield f"### {verb}: {section}"
        yield _table(("field", "default", "meaning"), options)


def _section(field: Option) -> str:
    """`data.phases` of data.phases.0.seq_len."""
    *sections, _ = field.name.split(".")
    return ".".join(name for name in sections if not name.isdecimal()) or "the rest"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """All columns but the last, the meaning, are code."""
    lines = [head, ("---",) * len(head)]
    for *code, meaning in rows:
        cells = [f"`{cell.strip()}`" if cell.strip() else "" for cell in code]
        lines.append((*(cell.replace("|", r"\|") for cell in cells), _escaped(meaning)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """The same text in a cell of Markdown: options are code, else only backticks mean something."""
    stretches = re.split(r"(`[^`]*`)", text.replace("|", r"\|"))
    stretches[::2] = [re.sub(r"--[\w-]+(='[^']*')?", r"`\g<0>`", text) for text in stretches[::2]]
    stretches = re.split(r"(`[^`]*`)", "".join(stretches))
    stretches[::2] = [re.sub(r"([*_<\[\]])", r"\\\1", text) for text in stretches[::2]]
    return "".join(stretches)
