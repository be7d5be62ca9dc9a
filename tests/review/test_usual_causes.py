"""Each usual fault is put into a real run and must be named; of healthy runs nothing is."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_run

from bertjax.config import PretrainConfig
from bertjax.data.batches import BatchSource
from bertjax.overrides import apply_overrides
from bertjax.recipes.files import load_config_file
from bertjax.review.review import Review, load_review
from bertjax.terminal import Terminal
from bertjax.train.loop import pretrain

pytestmark = pytest.mark.slow

# As in the small grid: 60 steps of one layer, which are enough to get below the unigram entropy.
TYPED = (
    "train.steps=60",
    "train.log_every=5",
    "train.eval_every=60",
    "train.checkpoint_every=60",
    "model.hidden_dropout=0",
    "model.attention_dropout=0",
    "optim.learning_rate=1e-2",
    "optim.bias_correction=true",
)


@pytest.fixture(scope="module")
def base(once, corpus) -> PretrainConfig:
    recipe = once("recipe.py", lambda path: path.write_text(tiny_run.RECIPE))
    cfg = load_config_file(recipe, PretrainConfig)
    return apply_overrides(cfg, [*TYPED, f"data.corpus={corpus}"])


def reviewed(cfg: PretrainConfig, workdir: Path, *typed: str) -> Review:
    pretrain(apply_overrides(cfg, typed), workdir, terminal=Terminal())
    found = load_review(workdir / "review.json")
    assert found is not None
    return found


def names(found: Review) -> list[str]:
    return [cause.name for cause in found.causes]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_of_healthy_runs_nothing_is_named(base, seed, tmp_path, capfd):
    found = reviewed(replace(base, seed=seed), tmp_path / "run")
    assert found.causes == () and found.below > 0.1
    *_, said, done = capfd.readouterr().err.splitlines()
    assert found.lines() == [said.removeprefix("loss   ")] and done.startswith("done   step 60")
    assert f"{found.below:.2f} nats under the unigram entropy of the same rows" in said
    assert found.bigram_loss is not None and f"loss on them ({found.bigram_loss:.4f})" in said


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("optim.learning_rate=1", "of knowing nothing"),
        ("optim.learning_rate=1e-5", "raise optim.learning_rate=1e-05, or train longer"),
    ],
)
def test_a_rate_that_is_no_good(base, typed, said, tmp_path):
    found = reviewed(base, tmp_path / "run", typed)
    assert names(found) == ["learning rate"] and said in found.causes[0].says


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["masking.rate=0.9"], "of the tokens are predicted, published rates are 15 to 40 %"),
        (["masking.mask_share=0", "masking.random_share=0"], "100% of the predicted tokens are"),
    ],
)
def test_masks_that_teach_nothing(base, typed, said, tmp_path):
    found = reviewed(base, tmp_path / "run", *typed)
    assert names(found) == ["masks"] and said in found.causes[0].says


def of_text(base: PretrainConfig, tmp_path: Path, documents: list[list[str]]) -> Review:
    """A run on other documents, which are prepared with the tokenizer of the base's."""
    tmp_path.mkdir(exist_ok=True)
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join("\n".join(document) for document in documents) + "\n")
    tokenizer = f"{base.data.corpus}/tokenizer"
    corpus = tiny_run.prepare(text, tmp_path / "corpus", "--tokenizer", tokenizer)
    return reviewed(base, tmp_path / "run", f"data.corpus={corpus}")


@pytest.fixture(scope="module")
def documents(text) -> list[list[str]]:
    return [document.splitlines() for document in text.read_text().strip().split("\n\n")]


def test_duplicates_that_are_not_whole_documents(base, documents, tmp_path):
    few = documents[:20]
    copies = [[*few[i % 20], *documents[i][:1]] for i in range(20, 200)]
    found = of_text(base, tmp_path, copies)
    assert names(found) == ["duplicates"] and "drops equal documents alone" in found.causes[0].says


def test_labels_that_are_all_alike(base, documents, tmp_path):
    lone = [[sentence] for document in documents for sentence in document]
    found = of_text(base, tmp_path, lone)
    assert names(found) == ["label mix"] and "of the pairs have label 1" in found.causes[0].says


def test_text_that_is_one_piece(base, documents, tmp_path):
    filled = [[f"{sentence} {'near ' * 9}" for sentence in document] for document in documents]
    found = of_text(base, tmp_path, filled)
    assert names(found) == ["label mix"] and "are one piece" in found.causes[0].says


@pytest.mark.parametrize(
    ("letters", "said"), [("абвгд", "unknown"), ("earntildogs", "pieces, 3 are")]
)
def test_a_tokenizer_of_other_text(base, documents, letters, said, tmp_path):
    draw = random.Random(0)

    def word(_: str) -> str:
        return "".join(draw.choice(letters) for _ in range(7))

    other = [[" ".join(map(word, line.split())) + "." for line in lines] for lines in documents]
    found = of_text(base, tmp_path, other)
    assert names(found) == ["tokenizer"] and said in found.causes[0].says


def test_text_in_its_order(base, documents, tmp_path, monkeypatch):
    """Sorted text is as good as any other, unless the steps follow its order."""
    words = (tiny_run.NOUNS, tiny_run.VERBS, tiny_run.ADJECTIVES)
    ordered = []
    for i, lines in enumerate(documents):
        chapter = 2 * i // len(documents)  # of two, each of which has half of the words
        of_chapter = {
            word: kind[4 * chapter + j % 4] for kind in words for j, word in enumerate(kind)
        }
        ordered.append(
            [" ".join(of_chapter.get(w, w) for w in line[:-1].split()) + "." for line in lines]
        )
    assert names(of_text(base, tmp_path / "shuffled", ordered)) == []
    monkeypatch.setattr(BatchSource, "_shuffle", lambda self, epoch, place: place)
    assert names(of_text(base, tmp_path / "ordered", ordered)) == ["unshuffled text"]
