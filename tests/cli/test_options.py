"""`bertjax options` says of every option what it is, as it is typed."""

from __future__ import annotations

import pytest

from bertjax.cli.main import VERBS, main
from bertjax.config import AdaptConfig, FinetuneConfig, PretrainConfig
from bertjax.config.options import options
from bertjax.errors import EXIT_BAD_INPUT
from bertjax.overrides import apply_overrides, describe_difference

CONFIGS = (PretrainConfig, FinetuneConfig)


@pytest.mark.parametrize("cls", [*CONFIGS, AdaptConfig])
def test_every_option_has_a_meaning_and_its_value_is_typed_so(cls):
    found = list(options(cls()))
    assert not [option.name for option in found if not option.meaning.strip()]
    typed = [f"{option.name}={option.value}" for option in found]
    assert apply_overrides(cls(), typed) == cls()
    # All fields there are: another config differs in listed ones alone.
    other = describe_difference(PretrainConfig(), FinetuneConfig())
    entries = {"tune.seeds.0", "lora.targets.0", "lora.targets.1"}
    names = {option.name for config in CONFIGS for option in options(config())}
    assert {line.partition(":")[0] for line in other} <= names | entries


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_lists_its_options(verb, capsys):
    assert main(["options", verb]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line[38:].strip() for line in lines if len(line) > 38), lines


def test_the_list_is_of_what_begins_with_the_prefix(capsys):
    assert main(["options", "finetune", "tune.e"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["tune.epochs=3", "tune.evaluation_batch_size=64"]
    assert main(["options", "prepare", "held"]) == 0
    assert "(default 0.01)" in capsys.readouterr().out
    assert main(["options", "finetune", "tunes"]) == EXIT_BAD_INPUT
    assert "did you mean 'tune'" in capsys.readouterr().err
    assert main(["options", "fine-tune"]) == EXIT_BAD_INPUT
    assert "did you mean 'finetune'" in capsys.readouterr().err
