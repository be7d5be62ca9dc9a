"""Pictures of a run: what labels and tasks are called is shown as it is."""

from __future__ import annotations

from typing import Any

import pytest

from bertjax import figures
from bertjax.finetuning.plots import draw

pytest.importorskip("matplotlib")

LABELS = ["$\\frac{$", "$5-$10", "a" * 5000]


def content(task: str, labels: list[str]) -> dict[str, Any]:
    history = [{"epoch": 1, "accuracy": 0.5, "train_loss": 1.0, "dev_loss": None}]
    confusion = {"labels": labels, "counts": [[1] * len(labels)] * len(labels)}
    return {
        "task": task,
        "metric": "accuracy",
        "models": [{"name": "seed-0", "fold": None, "best_epoch": 1, "history": history}],
        "splits": {
            "dev": {
                "models": {"accuracy": {"values": [0.5]}},
                "ensemble": None,
                "report": {"confusion": confusion},
            }
        },
    }


@pytest.mark.parametrize("label", LABELS, ids=["formula", "prices", "long"])
def test_any_label_can_be_drawn(label, tmp_path, monkeypatch):
    import matplotlib.figure

    shown = []
    save = matplotlib.figure.Figure.savefig

    def saved(figure, path, **options):
        save(figure, path, **options)
        shown.append([text.get_text() for text in figure.findobj(matplotlib.text.Text)])

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", saved)
    assert draw(tmp_path, content(label[:20], [label, "b"])) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion-dev.png", "curve.png"]
    assert {label if len(label) <= 40 else f"{label[:40]}…", "b"} <= set(shown[1])


def test_characters_that_no_font_has_are_said_once(tmp_path, monkeypatch, recwarn):
    import matplotlib.font_manager

    with monkeypatch.context() as patch:
        patch.setattr(matplotlib.font_manager, "get_font_names", lambda: [])
        said = draw(tmp_path, content("新闻", ["体育", "b"]))
    assert said == "no font here has 体新育闻: install one, such as Noto Sans CJK for Chinese"
    known = set(matplotlib.font_manager.get_font_names())
    if known & set(figures.WIDE):
        assert draw(tmp_path, content("新闻", ["体育", "b"])) == ""
    assert not list(recwarn)
