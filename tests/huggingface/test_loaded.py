"""`bertjax.load` of a Hugging Face directory, beside what transformers makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import torch
import transformers
from family import FAMILY
from test_pseudo_likelihood import masked

import bertjax

TEXTS = ["ab cd9, w3 w5 zq", "", "naïve 东京 ef", "a " * 20, "the [MASK] of w7", "ab", "b a b"] * 3


def directory(tmp_path: Path, **fields) -> Path:
    cfg = oracle.random_config(3, **{"max_positions": 24, **fields})
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, tmp_path)
    return oracle.export(cfg, oracle.random_params(cfg, 3), tokenizer, tmp_path / "hf")


def their_vectors(path: Path, texts: list[str], pooling: str, normalize: bool) -> np.ndarray:
    """Padded in one batch, as in sentence-transformers: the mean over the attention mask."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    encoder = transformers.AutoModel.from_pretrained(path).eval()
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = encoder(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    found = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
    if normalize:
        found = torch.nn.functional.normalize(found, dim=1)
    return found.numpy()


SYSTEMS = {"bert": {}, "pre": {"norm": "pre", "next_sentence_head": False}} | {
    name: FAMILY[name] for name in ("electra", "modernbert")
}


@pytest.mark.parametrize("name", sorted(SYSTEMS))
def test_vectors_are_those_of_transformers(name, tmp_path):
    path = directory(tmp_path, **SYSTEMS[name])
    model = bertjax.load(path)
    for pooling, normalize in (("mean", False), ("cls", False), ("mean", True)):
        found = model.encode(TEXTS, pooling=pooling, normalize=normalize)
        assert found.dtype == np.float32
        expected = their_vectors(path, TEXTS, pooling, normalize)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert model.encode([]).shape == (0, found.shape[1])


def test_masks_are_filled_as_by_the_pipeline(tmp_path):
    path = directory(tmp_path, next_sentence_head=False)
    text = "ab [MASK] w3 [MASK] zq"
    fill = transformers.pipeline("fill-mask", model=str(path))
    found = bertjax.load(path).fill_mask(text, top=7)
    for (_, guesses), theirs in zip(found, fill(text, top_k=7), strict=True):
        assert [guess.piece for guess in guesses] == [
            fill.tokenizer.convert_ids_to_tokens(one["token"]) for one in theirs
        ]
        np.testing.assert_allclose(
            [guess.probability for guess in guesses], [one["score"] for one in theirs], atol=1e-5
        )


def test_texts_are_scored_as_by_a_slow_loop(tmp_path):
    path = directory(tmp_path, next_sentence_head=False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    theirs = transformers.AutoModelForMaskedLM.from_pretrained(path).eval()
    texts = TEXTS[:4]
    found = bertjax.load(str(path)).score(texts)
    expected = [masked(theirs, tokenizer, text, words=False) for text in texts]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_a_model_cannot_do_is_refused(tmp_path):
    model = bertjax.load(directory(tmp_path))
    for ask, says in (
        (lambda: model.encode("ab"), "'ab' is one text: give a list"),
        (lambda: model.encode({"text": ["ab"]}), "a dict holds columns: give the list"),
        (lambda: model.score(["ab", None]), "item 1 is None, not a text"),
        (lambda: model.fill_mask(["a [MASK]"]), "item 0 is .*, not a text"),
        (lambda: model.encode({"ab", "b"}), "a set is no list of texts in an order: give a list"),
        (lambda: model.encode(None), "a NoneType is no list of texts"),
        (lambda: model.encode(["ab"], pooling="max"), "pooling=max: did you mean 'mean'"),
        (lambda: model.encode(["a " * 23]), "has 25 tokens, the model 24 positions"),
        (lambda: model.score(["ab"], score="ppl"), "score='ppl': did you mean 'pll'"),
        (lambda: model.fill_mask("ab"), r"write \[MASK\] where"),
        (lambda: model.predict(["ab"]), "no head for a task"),
        (lambda: bertjax.load(tmp_path / "none"), "none is not there: give a run"),
        (lambda: bertjax.load("~nobody-here/x"), "~nobody-here/x is not there: give a run"),
    ):
        with pytest.raises(bertjax.UserError, match=says):
            ask()


def test_a_model_is_shown_by_its_path_and_compared_by_identity(tmp_path):
    path = directory(tmp_path)
    model = bertjax.load(path)
    assert repr(model) == f"Model(path={Path(path)!r})"
    assert model == model and model != bertjax.load(path) and model in {model}


def test_a_causal_model_has_a_mean_and_no_cls(tmp_path):
    model = bertjax.load(directory(tmp_path, **FAMILY["openai-gpt"]))
    assert model.encode(["ab", "cd"]).shape == (2, 24)
    assert (model.score(["ab"]) < 0).all()
    with pytest.raises(bertjax.UserError, match="first token sees no other"):
        model.encode(["ab"], pooling="cls")
    with pytest.raises(bertjax.UserError, match="what comes next"):
        model.fill_mask("[MASK]")
