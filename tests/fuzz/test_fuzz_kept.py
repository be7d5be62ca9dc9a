"""Every input that has made a reader fail, and a few new ones, end in a value or in one line."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from fuzz_mutations import STRETCHES, mutated
from fuzz_target import Target
from fuzz_targets import TARGETS
from hypothesis import given, settings
from hypothesis import strategies as st

from bertjax import written
from bertjax.errors import UserError, printable

FOUND = Path(__file__).parent / "found"
BY_NAME = {target.name.replace("/", "_"): target for target in TARGETS}
KEPT = sorted(path for path in FOUND.glob("*/*") if path.is_file())
NEW = 6  # inputs a target
SLOW = ("grid", "hub/model", "hub/task", "run", "tokenizer/")  # a hundredth of a second or more

# Any JSON, and what Python's reader takes for JSON.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "data", "model", "text", ""]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of a target, made once."""
    made: dict[str, Path] = {}

    def folder(target: Target) -> Path:
        if target.name not in made:
            made[target.name] = tmp_path_factory.mktemp("target")
            target.beside(made[target.name])
        return made[target.name]

    return folder


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_an_input_that_was_found_ends_in_a_value_or_one_line(path, folders):
    target = BY_NAME[path.parent.name]
    target.attempt(folders(target), path.read_bytes())


def flipped(data: bytes, draw: random.Random) -> bytes:
    """A byte that is another one, or a stretch left out or put in: what a fuzzer does blindly."""
    if not data:
        return draw.choice(STRETCHES)
    at = draw.randrange(len(data))
    return data[:at] + draw.choice((b"", bytes([draw.randrange(256)]))) + data[at + 1 :]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_seeds_are_read_and_their_mutants_end_in_a_value_or_one_line(name, folders):
    target, draw = BY_NAME[name], random.Random(name)
    for seed in target.seeds():
        target.attempt(folders(target), seed)
    seeds = target.seeds()
    for _ in range(NEW):
        data = draw.choice(seeds)
        for _ in range(draw.randint(1, 3)):
            data = mutated(target.file, data, lambda one: flipped(one, draw), draw)
        target.attempt(folders(target), data)


@settings(max_examples=20)
@given(value=VALUES)
def test_any_json_in_the_place_of_a_file_ends_in_a_value_or_one_line(value, folders):
    for target in TARGETS:
        if target.file.endswith(".json") and not target.name.startswith(SLOW):
            target.attempt(folders(target), json.dumps(value).encode(errors="surrogatepass"))


@given(value=VALUES)
def test_what_a_form_lets_through_has_that_form(value, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "value.json"
    path.write_text(json.dumps(value), encoding="utf-8", errors="surrogatepass")
    form = {"a": [written.NUMBER], "data?": {str: written.TEXT}}
    try:
        found = written.read(path, form)
    except UserError as error:
        assert str(path) in str(error)
        return
    assert all(type(item) in (int, float) for item in found["a"])
    assert all(item is None or isinstance(item, str) for item in found.get("data", {}).values())


def test_a_message_is_one_line_that_a_terminal_does_not_obey():
    assert printable("a\r\n\x1b[2Jb\u2028\u202ec\ud800é汉") == (
        "a\\r\\n\\x1b[2Jb\\u2028\\u202ec\\ud800é汉"
    )
    assert len(printable("x" * 10**6)) < 2_100
    assert str(UserError("a\nb")) == "a\\nb"


def test_every_kept_input_has_a_target_and_is_small():
    assert {path.parent.name for path in KEPT} <= set(BY_NAME)
    assert all(path.stat().st_size <= 1 << 16 for path in KEPT)
    assert not os.environ.get("CI") or KEPT
