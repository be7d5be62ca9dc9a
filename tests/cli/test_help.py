"""What the commands say of themselves, and of a name that is nearly right."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tiny_run import pretrain_argv

from bertjax.cli.main import VERBS, main
from bertjax.cli.options import flags
from bertjax.version import __version__


def test_help_lists_every_verb(capsys):
    for argv in ([], ["--help"], ["help"]):
        assert main(argv) == 0
        said = capsys.readouterr().out
        assert all(verb in said for verb in VERBS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"bertjax {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as left:
        main([verb, "--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0 and said.startswith(f"usage: bertjax {verb}")
    # As words: lines are broken anywhere between them, and behind a hyphen.
    words, listed = "".join(said.split()), list(flags(verb))
    assert len(listed) > 0
    for option in listed:
        assert "".join(option.meaning.removeprefix("needed: ").split()) in words
    assert "bertjax options VERB" not in said


def test_help_needs_no_jax():
    code = "import sys, bertjax.cli.main as m; m.main(['--help']); sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        (["pretain"], "unknown command 'pretain': did you mean 'pretrain'?"),
        (["pretrain", "--confg", "x.py"], "unknown option '--confg' for pretrain: did you mean"),
        (["prepare", "x", "--vocabsize=3"], "did you mean '--vocab-size'?"),
        (["info"], "the following arguments are required: path"),
        (["pretrain", "--config", "c.py", "--workdir"], "--workdir: expected one argument"),
        (["prepare", "x", "--out", "y", "--vocab-size", "many"], "invalid int value: 'many'"),
    ],
)
def test_the_nearest_real_word_is_named(argv, meant, refuse):
    assert meant in refuse(*argv)


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("train.step=3", "did you mean train.steps?"),
        ("lr=3", "did you mean optim.learning_rate?"),
        ("train.steps=lots", "takes a whole number"),
        ("train.steps", "train.steps"),
    ],
)
def test_the_nearest_config_key_is_named(tmp_path, recipe, corpus, override, meant, refuse):
    workdir = tmp_path / "run"
    assert meant in refuse(*pretrain_argv(workdir, recipe, corpus, override))
    assert not workdir.exists()
