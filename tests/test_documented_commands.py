"""Every command and every option that README and guides show is one that bertjax takes."""

from __future__ import annotations

import importlib
import re
import shlex

import pytest
from documented import GUIDES, README, ROOT, commands

from bertjax.adapt.run import split_fields
from bertjax.cli.ablate import with_fields
from bertjax.cli.main import TAKES_FIELDS, VERBS, _check_options, _Parser, _without_dashes
from bertjax.config import AblationConfig, AdaptConfig, FinetuneConfig, PretrainConfig
from bertjax.config.transfer import TRANSFER_METHODS
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides
from bertjax.recipes.shipped import load_recipe

_METHOD = "transfer.method"
PAGES = [README, *sorted(GUIDES.glob("*.md"))]
FIELD = re.compile(
    r"`((?:data|train|model|optim|masking|replaced_tokens|task|head|tune|transfer)\.[a-z_\d.]+=[^`\s]+)`"
)


SHOWN = [(page.name, command) for page in PAGES for command in commands(page)]


def test_there_are_commands_to_check():
    assert len(SHOWN) > 25
    assert {command.split()[1] for _, command in SHOWN} == VERBS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_run_by_a_test_of_that_page(page):
    named = page.stem.lower().replace("-", "_") + ("" if page == README else "_guide")
    assert (ROOT / "tests" / "guides" / f"test_{named}.py").exists()


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_shown_command_is_taken(page, command, monkeypatch):
    """By its parser; its fields by the config it names, before anything is read or trained."""
    monkeypatch.chdir(ROOT)
    _, verb, *argv = shlex.split(command)
    parser = _Parser(prog=f"bertjax {verb}", allow_abbrev=False)
    importlib.import_module(VERBS[verb][0]).add_arguments(parser)
    options = [option for action in parser._actions for option in action.option_strings]
    argv = _without_dashes(argv, options) if verb in TAKES_FIELDS else argv
    _check_options(verb, argv, options)
    args = parser.parse_intermixed_args(argv)
    if verb == "adapt":
        own, of_run = split_fields(args.overrides)
        apply_overrides(AdaptConfig(), own)
        apply_overrides(PretrainConfig(), of_run)
    elif verb == "replay":  # of a run, whose config it takes
        apply_overrides(PretrainConfig(), args.overrides)
    elif verb == "ablate" and args.config:
        with_fields(load_recipe(args.config, AblationConfig), args.overrides)
    elif verb in TAKES_FIELDS and args.config:
        expected = FinetuneConfig if verb == "finetune" else PretrainConfig
        apply_overrides(load_recipe(args.config, expected), args.overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_shown_field_is_one_that_alone_changes_a_recipe(page):
    """`train.attention=auto|cudnn` shows two values of one field."""
    recipes = [
        *(load_recipe(name, PretrainConfig) for name in ("bert_base",)),
        *(load_recipe(name, FinetuneConfig) for name in ("classification", "ner_conll")),
    ]
    beside = "data.unlabelled=more.txt"
    recipes += [
        apply_overrides(
            load_recipe("classification", FinetuneConfig), [beside, f"{_METHOD}={name}"]
        )
        for name in TRANSFER_METHODS[1:]
    ]
    for shown in FIELD.findall(page.read_text(encoding="utf-8")):
        name, _, values = shown.partition("=")
        for value in values.split("|"):
            refused = []
            for recipe in recipes:
                try:
                    apply_overrides(recipe, [f"{name}={value}"])
                except UserError as error:
                    refused.append(str(error))
            assert len(refused) < len(recipes), f"{page.name}: {name}={value}: {refused}"
