"""Settings of transfer that do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_task import config

from bertjax.errors import UserError


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"transfer": {"method": "self_training"}}, "give both or neither"),
        ({"data": {"unlabelled": "a.txt"}}, "give both or neither"),
        ({"transfer": {"rounds": 2}}, "transfer.rounds=2 with transfer.method=none"),
        ({"transfer": {"method": "mmd", "shift": "em"}}, "use transfer.method=weighted_pseudo"),
        ({"transfer": {"method": "mmd", "width": 9}}, "use transfer.method=dann, or leave it out"),
        ({"transfer": {"method": "magic"}}, "transfer.method='magic' is not known"),
        ({"transfer": {"method": "self_training", "threshold": 1.1}}, "transfer.threshold=1.1"),
        (
            {
                "data": {"unlabelled": "a.txt"},
                "transfer": {"method": "mmd"},
                "task": {"family": "regression"},
            },
            "only classification and tagging learn from rows without labels",
        ),
        (
            {
                "data": {"unlabelled": "a.txt"},
                "transfer": {"method": "mmd"},
                "tune": {"layers": 0},
            },
            "transfer.method=mmd with tune.layers=0",
        ),
        (
            {"data": {"unlabelled": "a.txt"}, "transfer": {"method": "dann", "layer": 3}},
            "transfer.layer=3 but the encoder has 2 layers",
        ),
        (
            {
                "data": {"unlabelled": "a.txt"},
                "transfer": {"method": "weighted_pseudo_labels", "shift": "em"},
                "task": {"balanced": True},
            },
            "both weigh classes",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(changes, says):
    with pytest.raises(UserError, match=says) as caught:
        config(Path("x"), **changes)
    assert "\n" not in str(caught.value)
