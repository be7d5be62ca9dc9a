"""docs/messages.md has every refusal and note of the doors through which people's files come."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOORS = [
    *(ROOT / "bertjax" / "text").glob("*.py"),
    *(ROOT / "bertjax" / "tasks").glob("*.py"),
    *(ROOT / "bertjax" / "probe").glob("*.py"),
    ROOT / "bertjax" / "statistics.py",
    *(ROOT / "bertjax" / "ablate").glob("*.py"),
    *(ROOT / "bertjax" / "adapt").glob("*.py"),
    ROOT / "bertjax" / "cli" / "adapt.py",
    ROOT / "bertjax" / "cli" / "prepare.py",
    ROOT / "bertjax" / "cli" / "probe.py",
    ROOT / "bertjax" / "cli" / "reading.py",
    ROOT / "bertjax" / "finetuning" / "splits.py",
    ROOT / "bertjax" / "train" / "replay.py",
    ROOT / "bertjax" / "finetuning" / "lessons.py",
    *(ROOT / "bertjax" / "fuse").glob("*.py"),
]
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


@pytest.mark.parametrize("path", DOORS, ids=lambda path: path.stem)
def test_every_message_is_on_the_page(path):
    page = (ROOT / "docs" / "messages.md").read_text(encoding="utf-8")
    missing = [text for text in messages(path) if text not in page]
    assert not missing


def test_messages_are_found():
    assert sum(len(messages(path)) for path in DOORS) > 100
