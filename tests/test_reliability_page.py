"""docs/reliability.md names a fault and its test in every row, and each test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and "---" not in line
][1:]


def test_every_fault_of_the_list_has_a_row():
    found = [row[0] for row in ROWS if re.fullmatch(r"F\d+", row[0])]
    assert found == [f"F{i}" for i in range(1, 23)]


def test_every_test_that_is_named_is_there():
    named = 0
    for row in ROWS:
        file = ""
        for shown in re.findall(r"`([\w/.]*)(?:::(\w+))?`", row[-1]):
            file = shown[0] or file  # `::name` is of the file before it
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert not shown[1] or f"def {shown[1]}(" in text, shown
            named += 1
        assert file or row[-1] in ("none", "the same"), row
    assert named > 40
