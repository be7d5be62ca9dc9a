"""What a probe hands on: its headline is the mean of what it says of the examples."""

from __future__ import annotations

import numpy as np
import pytest

from bertjax.probe.scores import Scores


def test_headline_groups_and_contributions_agree_with_pandas():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"group": list("aabbbc"), "v": rng.random(6), "w": rng.random(6) + 0.1})
    scores = Scores(
        "x", frame.v.to_numpy(), "of all", "high", frame.group.tolist(), frame.w.to_numpy()
    )
    expected = (frame.v * frame.w).sum() / frame.w.sum()
    assert scores.headline == pytest.approx(expected)
    assert scores.contributions.mean() == pytest.approx(expected)
    grouped = (frame.v * frame.w).groupby(frame.group).sum() / frame.w.groupby(frame.group).sum()
    assert scores.by_group() == pytest.approx(grouped.to_dict())


def test_without_weights_or_groups_it_is_a_plain_mean():
    scores = Scores("x", np.array([1.0, 0.0, 0.0, 1.0]), "of the pairs", "high")
    assert scores.headline == 0.5 and scores.by_group() == {}
    np.testing.assert_array_equal(scores.contributions, scores.values)
