"""Pictures of what a person called their runs."""

from __future__ import annotations

import numpy as np
import pytest

from bertjax.ablate import charts

pytest.importorskip("matplotlib")
NAME = r"price$\frac{$"  # a folder may be called so; between dollars matplotlib reads a formula


def test_dollars_in_names_are_no_formula():
    curve = (np.array([1.0, 2.0]), np.array([3.0, 2.5]))
    drawn = charts.curves({NAME: [curve]}, "step", f"loss, {NAME}", {f"level {NAME}": 3.0})
    assert [drawn.count(f"<!-- {kind}{NAME} -->") for kind in ("", "loss, ", "level ")] == [1] * 3
    rows = [charts.Difference(NAME, 0.1, -0.1, 0.3, False)]
    drawn = charts.forest(rows, f"difference, {NAME}")
    assert [drawn.count(f"<!-- {kind}{NAME} -->") for kind in ("", "difference, ")] == [1] * 2
