"""The guide's commands and its Python, run as they stand on a small encoder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny_task
from documented import GUIDES, ONE_EPOCH, ROOT, commands, walk

import bertjax

pytestmark = pytest.mark.slow

GUIDE = GUIDES / "few-weights.md"


def test_what_the_guide_shows_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    tiny_task.export_encoder(Path("hf/base"))
    for name, rows in (("train", 24), ("dev", 8), ("test", 8)):
        path = tiny_task.write_table(Path(f"{name}.tsv"), rows)
        path.write_text(path.read_text().replace("text\tlabel", "sentence\tlabel"))
    Path("reviews.txt").write_text("good river\nbad city\n")
    shutil.copytree("hf/base", "moved/base")
    walk(commands(GUIDE), {"finetune": ONE_EPOCH})
    capsys.readouterr()
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    exec(compile(program, str(GUIDE), "exec"), {"__name__": "guide"})
    updates, biases = eval(capsys.readouterr().out)
    assert updates > 0 and biases > 0
    lines = [json.loads(line) for line in Path("predictions.jsonl").read_text().splitlines()]
    model = bertjax.load("ft/lora", base="moved/base")
    said = model.predict(["good river", "bad city"])
    assert [one["prediction"] for one in said] == [line["prediction"] for line in lines]
    merged = bertjax.load("hf/merged")
    np.testing.assert_allclose(model.encode(["good"], "mean"), merged.encode(["good"]), atol=1e-6)
    assert Path("hf/lora/adapter_model.safetensors").exists()
    assert Path("hf/houlsby/adapter.safetensors").exists()
