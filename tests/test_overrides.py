"""Overrides, JSON and recipes: what goes in comes out; a mistake is answered in one line."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bertjax.config import FinetuneConfig, ModelConfig, Phase, PretrainConfig
from bertjax.errors import UserError
from bertjax.overrides import (
    MAX_JSON_CHARACTERS,
    _names,
    apply_overrides,
    describe_difference,
    from_json,
    to_json,
)

DEFAULT = PretrainConfig()


@dataclass(frozen=True)
class Leaf:
    a_number: float = 0.5
    name: str = ""


@dataclass(frozen=True)
class Tree:
    """Any config: no validation of its own, and one field that has no default."""

    needed: int
    flag: bool = False
    leaf: Leaf = dataclasses.field(default_factory=Leaf)
    sizes: tuple[int, ...] = ()
    leaves: tuple[Leaf, ...] = (Leaf(), Leaf())


finite = st.floats(allow_nan=False, allow_infinity=False)
leaf_trees = st.builds(Leaf, finite, st.text(max_size=20))
trees = st.builds(
    Tree,
    st.integers(),
    st.booleans(),
    leaf_trees,
    st.lists(st.integers(), max_size=4).map(tuple),
    st.lists(leaf_trees, max_size=3).map(tuple),
)


def set_names(config) -> list[str]:
    return list(_names(type(config), json.loads(to_json(config))))


def refused(*items: str, config=DEFAULT) -> str:
    with pytest.raises(UserError) as caught:
        apply_overrides(config, items)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Overrides.


def test_values_are_read_by_the_declared_type():
    config = apply_overrides(
        DEFAULT,
        [
            "train.steps=1_000",
            "optim.learning_rate=1",
            "optim.eps=1e-8",
            "train.tensorboard=True",
            "data.corpus=a=b c",
            "data.phases.0.seq_len=64",
            "train.mesh.fsdp=2",
            "seed=3",
        ],
    )
    assert config.train.steps == 1000
    assert (config.optim.learning_rate, type(config.optim.learning_rate)) == (1.0, float)
    assert (config.optim.eps, config.train.tensorboard) == (1e-8, True)
    assert (config.data.corpus, config.data.phases[0].seq_len) == ("a=b c", 64)
    assert (config.train.mesh.fsdp, config.seed) == (2, 3)
    assert PretrainConfig() == DEFAULT  # not touched


def test_a_tuple_is_given_as_json_and_its_entries_then_exist():
    phases = '[{"seq_len": 64, "fraction": 0.9}, {"seq_len": 256, "fraction": 0.1}]'
    config = apply_overrides(DEFAULT, [f"data.phases={phases}", "data.phases.1.batch_size=8"])
    assert config.data.phases == (Phase(64, 256, 0.9), Phase(256, 8, 0.1))


def test_items_are_validated_together_and_the_last_one_wins():
    items = ["data.format=doc_sentences", "replaced_tokens.weight=50", "data.max_packed=4"]
    for order in (items, items[::-1]):
        assert apply_overrides(DEFAULT, order).data.format == "doc_sentences"
    assert apply_overrides(DEFAULT, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("item", "meant"),
    [
        ("lr=1", "optim.learning_rate"),
        ("optim.lr=1", "optim.learning_rate"),
        ("optim.lerning_rate=1", "optim.learning_rate"),
        ("learning_rate=1", "optim.learning_rate"),
        ("steps=1", "train.steps"),
        ("batch_size=1", "data.phases.0.batch_size"),
        ("data.seq_len=1", "data.phases.0.seq_len"),
        ("model.hiden_size=1", "model.hidden_size"),
        ("model.hidden_size.0=1", "model.hidden_size"),
        ("mesh.fsdp=1", "train.mesh.fsdp"),
        ("data.phases.zero.seq_len=1", "data.phases.0.seq_len"),
        ("optim.es=1", "optim.eps"),  # and not by the initials of model.embedding_size
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(item, meant):
    assert refused(item).endswith(f"is not an option: did you mean {meant}?")


@settings(max_examples=60)
@given(st.data())
def test_one_slip_of_the_finger_is_understood(data):
    name = data.draw(st.sampled_from([n for n in set_names(DEFAULT) if len(n) > 8]))
    at = data.draw(st.integers(name.index(".") + 1, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    typed = data.draw(
        st.sampled_from(
            [name[:at] + name[at + 1 :], name[:at] + letter + name[at + 1 :],
             name[:at] + letter + name[at:]]
        )
    )  # fmt: skip
    assume(typed not in set_names(DEFAULT))
    message = refused(f"{typed}=1")
    suggested = message.rpartition("did you mean ")[2].rstrip("?")
    assert suggested in set_names(DEFAULT)
    # Names that differ in a letter themselves, such as b1 and b2, may be equally near.
    assert suggested == name or is_one_slip(typed, suggested)


def is_one_slip(one: str, other: str) -> bool:
    """Whether a letter more, less or instead makes the one of the other."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    at = same.index(False) if False in same else len(same)
    return one[at + 1 :] in (other[at:], other[at + 1 :]) or one[at:] == other[at + 1 :]


@settings(max_examples=60)
@given(st.text(max_size=30))
def test_any_text_at_all_is_an_override_or_a_user_error(text):
    for item in (text, f"{text}=1", f"data.phases={text}", f"optim.{text}", f"train.steps={text}"):
        try:
            assert isinstance(apply_overrides(DEFAULT, [item]), PretrainConfig)
        except UserError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("train.steps", "is not name=value"),
        ("=3", "is not name=value"),
        ("train.steps=1.5", "takes a whole number"),
        ("train.steps=", "takes a whole number"),
        ("train.steps=" + "9" * 5000, "takes a whole number"),
        ("train.tensorboard=yes", "takes true or false"),
        ("optim.learning_rate=fast", "takes a number"),
        ("optim.power=nan", "not a finite number"),
        ("optim.power=1e999", "not a finite number"),
        ("optim=3", "is a section"),
        ("data.phases.0=3", "is a section"),
        ("data.phases.7.seq_len=3", "data.phases has 1 entries"),
        ("data.phases=[", "not valid JSON"),
        ("data.phases=3", "is not a list"),
        ('data.phases=[{"seq_len": "64"}]', "wrong type"),
        ('data.phases=[{"seq_length": 64}]', "did you mean data.phases.0.seq_len?"),
        ("optim.optimizer=adam", "did you mean 'adamw'?"),
        ("model.num_heads=7", "does not divide"),
    ],
)
def test_bad_values_say_what_would_do(item, message):
    assert message in refused(item)


def test_home_is_where_it_is_in_a_shell(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = apply_overrides(PretrainConfig(), ["data.corpus=~/c"])
    assert config.data.corpus == "/home/me/c"


def test_lists_of_plain_values_need_no_brackets():
    def seeds(text: str) -> tuple[int, ...]:
        return apply_overrides(FinetuneConfig(), [f"tune.seeds={text}"]).tune.seeds

    assert seeds("0,1, 2") == seeds("[0, 1, 2]") == (0, 1, 2)
    assert seeds("7") == (7,)
    with pytest.raises(UserError, match="takes a whole number"):
        seeds("0,one")


@settings(max_examples=100)
@given(trees, trees)
def test_overriding_every_field_turns_one_config_into_another(start, goal):
    items = []
    for f in dataclasses.fields(Tree):
        value = json.loads(to_json(goal))[f.name]
        if f.name == "leaf":
            items += [f"leaf.a_number={value['a_number']!r}", f"leaf.name={value['name']}"]
        else:
            items.append(f"{f.name}={json.dumps(value)}")
    assert apply_overrides(start, items) == goal


# JSON.


@settings(max_examples=100)
@given(trees)
def test_json_round_trip(config):
    text = to_json(config)
    assert from_json(Tree, text) == config
    assert to_json(from_json(Tree, text)) == text


def test_json_of_the_real_config_is_complete_and_in_order():
    text = to_json(DEFAULT)
    assert from_json(PretrainConfig, text) == DEFAULT
    assert json.loads(text) == json.loads(json.dumps(dataclasses.asdict(DEFAULT)))
    assert list(json.loads(text)) == [f.name for f in dataclasses.fields(PretrainConfig)]


def test_missing_keys_take_their_default_or_are_named():
    assert from_json(Tree, '{"needed": 3}') == Tree(3)
    with pytest.raises(UserError, match="needed is missing"):
        from_json(Tree, "{}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not valid JSON"),
        ("[]", "not a section"),
        ('{"needed": 1, "need": 2}', "did you mean needed?"),
        ('{"needed": 1, "needed": 2}', "given twice"),
        ('{"needed": true}', "wrong type"),
        ('{"needed": 1.0}', "wrong type"),
        ('{"needed": null}', "wrong type"),
        ('{"needed": 1, "flag": 1}', "wrong type"),
        ('{"needed": 1, "leaf": {"a_number": NaN}}', "not a finite number"),
        ('{"needed": 1, "leaf": {"a_number": 1e999}}', "not a finite number"),
        ('{"needed": 1, "leaf": {"a_number": 1' + "0" * 400 + "}}", "wrong type"),
        ('{"needed": 1' + "0" * 5000 + "}", "not valid JSON"),
        ('{"needed": 1, "sizes": [[1]]}', "sizes.0=[1] has the wrong type"),
        ('{"needed": 1, "sizes": ' + "[" * 100_000, "nested too deeply"),
        ('{"__class__": "os.system", "needed": 1}', "is not an option"),
        (" " * (MAX_JSON_CHARACTERS + 1), "at most"),
    ],
)
def test_hostile_json_is_refused(text, message):
    with pytest.raises(UserError) as caught:
        from_json(Tree, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_bounds_of_the_dataclasses_hold_for_json():
    with pytest.raises(UserError, match="hidden_size"):
        from_json(ModelConfig, '{"hidden_size": 1000000000}')


def test_a_number_that_json_has_not_is_named():
    with pytest.raises(UserError, match=r"leaf\.a_number=nan"):
        to_json(Tree(1, leaf=Leaf(float("nan"))))


# Differences.


def test_differences_are_dotted():
    other = apply_overrides(DEFAULT, ["optim.learning_rate=1e-3", "data.corpus=x"])
    assert describe_difference(DEFAULT, DEFAULT) == []
    assert describe_difference(DEFAULT, other) == [
        'data.corpus: "" -> "x"',
        "optim.learning_rate: 0.0001 -> 0.001",
    ]
    assert describe_difference(Tree(1), Tree(1, sizes=(4,), leaves=(Leaf(),))) == [
        "leaves.1.a_number: 0.5 -> absent",
        'leaves.1.name: "" -> absent',
        "sizes.0: absent -> 4",
    ]


@settings(max_examples=100)
@given(trees, trees)
def test_no_difference_means_equal(a, b):
    assert (not describe_difference(a, b)) == (a == b)
    assert len(describe_difference(a, b)) == len(describe_difference(b, a))
