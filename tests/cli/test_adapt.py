"""`bertjax adapt`: from a run and a domain's text to a run, resumed and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_run

from bertjax.adapt.record import read
from bertjax.cli.main import main
from bertjax.data.corpus import describe_corpus, open_corpus
from bertjax.pretrained import open_imported, open_pretrained

pytestmark = pytest.mark.slow

SWAPS = (("river", "electrode"), ("city", "carousel"), ("garden", "electrolyte"))
FEW = ("--workers", "1", "train.eval_rows=32")
WORDS = ("vocabulary.add=3", "train.steps=12", "train.checkpoint_every=5")


@pytest.fixture(scope="session")
def domain(once) -> Path:
    """Text of the same sentences about other things."""

    def make(path: Path) -> None:
        tiny_run.write_text(path, documents=60, seed=5)
        text = path.read_text()
        for old, new in SWAPS:
            text = text.replace(old, new)
        path.write_text(text)

    return once("domain.txt", make)


@pytest.fixture(scope="session")
def pairs(once) -> Path:
    pair = {"sentence_good": "the electrode", "sentence_bad": "electrode the", "UID": "order"}
    return once("order.jsonl", lambda path: path.write_text(json.dumps(pair) + "\n"))


@pytest.fixture(scope="session")
def command(trained, corpus, domain, pairs) -> list[str]:
    """An adaptation but for its --workdir."""
    options = (f"replay.corpus={corpus}", f"probes.pairs={pairs}", *WORDS)
    return ["adapt", "--init", str(trained), "--text", str(domain), *FEW, *options]


@pytest.fixture(scope="session")
def adapted(once, command) -> Path:
    def make(workdir: Path) -> None:
        assert main([*command, "--workdir", str(workdir)]) == 0

    return once("adapted", make)


def test_info_says_what_it_was_before(adapted, trained, capfd):
    assert main(["info", str(adapted)]) == 0
    said = capfd.readouterr().out
    assert f"from {trained} (best checkpoint, step 24), with 3 new words" in said
    assert "domain before" in said and "corpus before" in said


def test_what_was_gained_and_forgotten_is_kept(adapted, trained, corpus):
    record = read(adapted)
    assert record is not None and record.after is not None
    assert list(record.before.held_out) == list(record.after.held_out) == ["domain", "corpus"]
    of_domain = (one.held_out["domain"]["bits a byte"] for one in (record.before, record.after))
    assert next(of_domain) > 1.2 * next(of_domain)
    assert 0 <= record.before.pairs <= 1 and 0 <= record.after.pairs <= 1
    assert [word.piece for word in record.words] == ["electrolyte", "electrode", "carousel"]
    best = open_pretrained(adapted)
    assert best.meta["evaluation"]["domain/bits_per_byte"] == pytest.approx(
        record.after.held_out["domain"]["bits a byte"]
    )
    # It begins with the grown weights, on a general corpus of the new pieces.
    assert open_imported(adapted).cfg.vocab_size == open_pretrained(trained).cfg.vocab_size + 3
    folders = (adapted / "corpora" / "domain", adapted / "corpora" / corpus.name)
    assert len({describe_corpus(folder)["tokenizer"] for folder in folders}) == 1
    new = open_imported(adapted).tokenizer.id("electrode")
    tokens = open_corpus(folders[0], "train")
    at = tokens.tokens == new
    assert at.any() and (tokens.boundaries[at] & 1).all()


def test_it_is_a_run_that_goes_on_to_the_same_bits(adapted, tmp_path):
    """By its own command without --init and --text, and as a run of `pretrain`."""
    ways = {"adapt": ["adapt"], "pretrain": ["pretrain", "--config", str(adapted / "config.json")]}
    for name, argv in ways.items():
        workdir = tiny_run.rewind(adapted, tmp_path / name, 10)
        assert main([*argv, "--workdir", str(workdir)]) == 0
        tiny_run.assert_same_bits(tiny_run.state(workdir), tiny_run.state(adapted))
    assert read(tmp_path / "adapt") == read(adapted)


def test_without_a_rate_nothing_changes(trained, corpus, domain, tmp_path, capfd):
    """So what is measured before is what a run measures of its own weights."""
    argv = ["adapt", "--init", str(trained), "--text", str(domain), "train.steps=1"]
    same = ("optim.learning_rate=0", f"replay.corpus={corpus}", "replay.weight=0")
    assert main([*argv, *FEW, *same, "--workdir", str(tmp_path / "run")]) == 0
    record = read(tmp_path / "run")
    for name, losses in record.before.held_out.items():
        assert record.after.held_out[name] == pytest.approx(losses, abs=1e-6)
    said = capfd.readouterr().err
    assert "domain, nats a piece" in said and "+0.0000" in said.replace("-0.0000", "+0.0000")
    assert not (tmp_path / "run" / "corpora" / corpus.name).exists()


def test_another_adaptation_is_refused(refuse, adapted, command, tmp_path, corpus, trained):
    workdir = shutil.copytree(adapted, tmp_path / "run")
    other = tiny_run.write_text(tmp_path / "other.txt", documents=5)
    again = [*command, "--workdir", workdir]
    said = refuse(*again, "vocabulary.add=2")
    assert "begun with other options (vocabulary.add: 3 -> 2): use the same to go on" in said
    assert "begun with other --text: give those back" in refuse(
        *(str(other) if item == command[4] else item for item in again)
    )
    moved = shutil.copytree(corpus, tmp_path / "moved")
    assert f"is called moved, and {workdir} knows the same corpus as {corpus.name}" in refuse(
        *(f"replay.corpus={moved}" if "replay.corpus" in str(item) else item for item in again)
    )
    stranger = shutil.copytree(trained, tmp_path / "stranger")
    shutil.rmtree(stranger / "best")
    shutil.rmtree(stranger / "checkpoints" / "24")
    assert "begun with other weights (--init)" in refuse(
        *(str(stranger) if item == command[2] else item for item in again)
    )
    assert "learning_rate: " in refuse("adapt", "--workdir", workdir, "optim.learning_rate=1")


def test_what_cannot_be_adapted_is_refused(refuse, trained, corpus, domain, text, tmp_path):
    empty, stranger = tmp_path / "empty.txt", tmp_path / "stranger"
    empty.write_text("\n \n")
    foreign = tmp_path / "foreign.txt"
    foreign.write_text("\n\n".join(("\u0b95\u0bbe \u0b9a\u0bbf", "\u0b95 \u0b9a", "\u0b9a")))
    tiny_run.prepare(text, stranger, "--vocab-size", "140")
    base = ["adapt", "--workdir", tmp_path / "run", *FEW]
    start = [*base, "--init", trained, "--text", domain]
    for argv, said in (
        (base, "--init and --text is missing, and"),
        ([*base, "--init", trained], "--text is missing"),
        ([*base, "--init", trained, "--text", empty], "no document with text"),
        (
            [*base, "--init", trained, "--text", foreign],
            "unknown to the tokenizer, and nothing is learnt of them: begin with a model of this",
        ),
        ([*base, "--init", trained, "--text", "-"], "--text -: the text is read twice"),
        ([*start, "vocabulary.add=999"], "the text has 3 words of several pieces that occur at"),
        ([*start, f"replay.corpus={stranger}"], "was prepared with tokenizer"),
        ([*start, f"replay.corpus={corpus}", "replay.weight=1"], "replay.weight=1"),
        ([*start, "data.corpus=x"], "data.corpus=x: an adaptation makes its own corpus"),
        ([*start, "model.num_layers=3"], "the weights of --init fix the architecture"),
        ([*base, "--init", corpus, "--text", domain], "is a corpus of `bertjax prepare`"),
        (
            ["adapt", "--workdir", trained, "--init", trained, "--text", domain],
            "not a run of `bertjax adapt`",
        ),
    ):
        assert said in refuse(*argv)
