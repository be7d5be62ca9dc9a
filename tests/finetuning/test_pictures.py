"""Pictures of a run: what labels and tasks are called is shown as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bertjax import figures
from bertjax.finetuning.plots import draw

pytest.importorskip("matplotlib")

LABELS = ["$\\frac{$", "$5-$10", "a" * 5000]


def content(task: str, labels: list[str], counts: list[list[int]] | None = None) -> dict[str, Any]:
    history = [{"epoch": 1, "accuracy": 0.5, "train_loss": 1.0, "dev_loss": None}]
    counts = counts or [[1] * len(labels)] * len(labels)
    confusion = {"labels": labels, "counts": counts}
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


def test_of_many_classes_those_are_drawn_that_are_confused_most(tmp_path, monkeypatch):
    """Each with the share of all its examples, also where other classes are not in the picture."""
    figure = pytest.importorskip("matplotlib.figure")
    drawn = {}
    monkeypatch.setattr(figure.Figure, "savefig", lambda f, path, dpi: drawn.update({path.stem: f}))
    counts = np.full((900, 900), 1) + 7 * np.eye(900, dtype=int)
    counts[700, 5] = counts[5, 800] = 50
    labels = [f"intent {i}" for i in range(900)]
    draw(tmp_path, content("intents", labels, counts.tolist()))
    (axes,) = drawn["confusion-dev"].axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert len(names) == 40 and {"intent 5", "intent 700", "intent 800"} < set(names)
    shares = axes.images[0].get_array()
    assert shares[names.index("intent 700"), names.index("intent 5")] == pytest.approx(50 / 956)
    assert shares[0, 0] == pytest.approx(8 / 907)
    assert "the 40 of 900 classes that are confused most often" in (
        drawn["confusion-dev"].get_suptitle()
    )
    assert max(drawn["confusion-dev"].get_size_inches()) < 25


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
