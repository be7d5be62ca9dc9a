"""Names of slices, and how fast their links are, against Cloud TPU's and the vendor's tables."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertjax.errors import UserError
from bertjax.plan.topology import CHIPS, Topology, parse_topology


@pytest.mark.parametrize(
    ("name", "shape", "chips"),
    [
        ("v5e:4x4", (4, 4), 16),
        ("v5e-4", (2, 2), 4),
        ("V5E:2x2", (2, 2), 4),
        ("v5litepod-16", (4, 4), 16),
        ("v5e-64", (8, 8), 64),
        ("v5e-256", (16, 16), 256),
        # Cloud TPU counts the two TensorCores of a v5p chip.
        ("v5p-8", (2, 2, 1), 4),
        ("v5p-128", (4, 4, 4), 64),
        ("v5p-512", (4, 8, 8), 256),
        ("v6e-8", (2, 4), 8),
        ("v6e-256", (16, 16), 256),
        ("h200:8", (8,), 8),
    ],
)
def test_names_that_exist(name, shape, chips):
    topology = parse_topology(name)
    assert (topology.shape, topology.chips) == (shape, chips)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5e:3x3", "choose from v5e:2x4, v5e:4x4"),
        ("v5e:4x2", "choose from v5e:2x4"),
        ("v5p:2x2", "choose from v5p:2x2x1"),
        ("v5p-100", "choose from v5p:2x4x4, v5p:4x4x4"),
        ("v5e-1000000", "v5e:16x16"),
        ("v5e:32x32", "choose from v5e:16x16"),
        ("h200:9", "choose from h200:8"),
        ("h200:0", "h200:1, h200:2"),
        ("v5e:banana", "v5e:1x1, v5e:2x2"),
        ("v5e:", "names no size: choose from v5e:1x1"),
        ("v5litepod-15", "choose from v5e:2x4, v5e:4x4"),
        ("v5e", "names no size"),
        ("v5a:2x2", "did you mean 'v5"),
        ("", "choose from"),
    ],
)
def test_names_that_do_not_exist_name_the_nearest_that_do(name, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        parse_topology(name)
    assert "\n" not in str(error.value)


@given(st.text(max_size=20) | st.from_regex(r"v5[ep][:-][0-9x]{0,8}", fullmatch=True))
def test_any_text_is_a_topology_or_one_line(name):
    try:
        topology = parse_topology(name)
    except UserError:
        return
    assert topology.shape in topology.chip.shapes


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: chip.name)
def test_every_shape_has_a_name_that_leads_back_to_it(chip):
    for shape in chip.shapes:
        topology = Topology(chip, shape)
        assert parse_topology(str(topology)) == topology
        if chip.is_tpu:
            cores = math.prod(shape) * chip.cores
            assert parse_topology(f"{chip.name}-{cores}").chips == topology.chips


@pytest.mark.parametrize(
    ("name", "group", "gigabytes"),
    [
        ("v5e:16x16", 256, 180),  # two rings of 2 × 45
        ("v5e:16x16", 16, 90),
        ("v5e:4x4", 16, 90),  # two lines, which have no way round
        ("v5e:8x16", 128, 135),
        ("v5p:4x4x4", 64, 540),  # three rings of 2 × 90
        ("v5p:2x2x4", 16, 270),
        ("v5p:2x2x1", 4, 180),
        ("h200:8", 8, 450),
    ],
)
def test_bandwidth_of_the_links_a_collective_uses(name, group, gigabytes):
    assert parse_topology(name).bandwidth(group) == pytest.approx(gigabytes * 1e9)


def test_gpus_multiply_float32_at_half_the_rate():
    assert CHIPS["h200"].peak("float32") == CHIPS["h200"].peak("bfloat16") / 2
    assert CHIPS["v5e"].peak("float32") == CHIPS["v5e"].peak("bfloat16") == 197e12
