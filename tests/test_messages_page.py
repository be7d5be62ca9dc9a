"""docs/messages.md has every refusal and note of the doors through which people's files come."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOORS = [
    *(ROOT / "bertjax" / "text").glob("*.py"),
    *(ROOT / "bertjax" / "tasks").glob("*.py"),
    ROOT / "bertjax" / "cli" / "prepare.py",
    ROOT / "bertjax" / "finetune" / "splits.py",
]
# Tokenizers, whole rows and the GLUE server's files are no doors of data.
OTHERS = re.compile(
    "token|companions|word_prefix|special|words|sentencepiece|encode|glue|span_|framing|sample"
)
CALLS = {"UserError": 0, "DamagedFile": 0, "Problem": 1, "note": 0}  # and which argument is said


def said(node: ast.expr) -> list[str]:
    """The constant stretches of a message, in order."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.JoinedStr):
        return [part.value for part in node.values if isinstance(part, ast.Constant)]
    if isinstance(node, ast.BinOp):
        return said(node.left) + said(node.right)
    return []


def messages(path: Path) -> list[str]:
    """The longest constant stretch of every message that a file can say."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in CALLS and len(node.args) > CALLS[name]:
                stretches = [text.strip(" :;,.()") for text in said(node.args[CALLS[name]])]
                found += [max(stretches, key=len)] if any(map(len, stretches)) else []
    return found


FILES = sorted(path for path in DOORS if not OTHERS.search(path.stem))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_message_is_on_the_page(path):
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    missing = [text for text in messages(path) if text not in page]
    assert not missing


def test_messages_are_found():
    assert sum(len(messages(path)) for path in FILES) > 100
