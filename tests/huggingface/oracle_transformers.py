"""Random tiny models, and what transformers computes from them."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from bertjax import huggingface, model
from bertjax.cli.export import ODD_LINES
from bertjax.config import ModelConfig
from bertjax.text.tokenizer import Tokenizer, load_tokenizer

torch.set_num_threads(1)

B, T = 3, 12
jit_for_config = partial(jax.jit, static_argnums=0)
CARD = huggingface.CardFacts(
    name="tiny",
    data_fingerprint="c0ffee",
    config='{"seed": 1}',
    versions={"bertjax": "0"},
    steps=0,
    start="",
    tokens=0,
    results={},
)
LINES = [*ODD_LINES, *(f"ab cd{i} [MASK] {chr(0x4E00 + i)}, naïve" for i in range(1000))]


def tiny_tokenizer(vocab_size: int, pad: int, scratch: Path) -> Tokenizer:
    """WordPiece with exactly this many pieces and [PAD] at id `pad`."""
    pieces = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces.insert(pad, "[PAD]")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,."
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    pieces += [f"w{i}" for i in range(vocab_size - len(pieces))]
    file = scratch / "vocab.txt"
    file.write_text("\n".join(pieces[:vocab_size]) + "\n", encoding="utf-8")
    return load_tokenizer(file)


def random_config(seed: int, **fixed: Any) -> ModelConfig:
    """Sizes drawn at random, vocabularies mostly no multiple of 128."""
    draw = np.random.default_rng(seed)
    heads = int(draw.integers(1, 4))
    sizes = {
        "vocab_size": int(draw.integers(90, 300)),
        "num_heads": heads,
        "hidden_size": heads * int(draw.integers(4, 10)),
        "num_layers": 2 if seed % 4 == 0 else 1,
        "intermediate_size": int(draw.integers(5, 40)),
        "max_positions": int(draw.integers(T, 40)),
        "layer_norm_eps": float(draw.choice([1e-12, 1e-5])),
    }
    return ModelConfig(**sizes | fixed)


def is_silent(cfg: ModelConfig, rows: int) -> np.ndarray:
    """Which rows of a word table are zero: those past the vocabulary, and [PAD]'s with trigrams.

    In transformers the last token of a padded row sees the row of [PAD], id 0 in these models, as
    its neighbour; here a row is the same padded or alone. That row at zero is the one with which
    both are equal; `test_parity.test_a_padded_row_is_what_it_is_alone` has another.
    """
    ids = np.arange(rows)
    return (ids >= cfg.vocab_size) | ((ids == 0) & cfg.trigram)


def small() -> ModelConfig:
    """One layer, 130 pieces."""
    return random_config(5, num_layers=1, vocab_size=130)


def random_params(cfg: ModelConfig, seed: int) -> dict:
    """Every parameter away from its initial value; padding rows of the vocabulary zero."""
    draw = np.random.default_rng(seed)

    def leaf(path, shape):
        name = path[-1].key
        values = draw.normal(0, {"embedding": 0.3, "scale": 0.1}.get(name, 0.15), shape.shape)
        if shape.shape[:1] == (cfg.padded_vocab_size,) and name in (
            "embedding",
            "bias",
            "decoder",
            "kernel",
        ):
            values[cfg.vocab_size :] = 0
        if "word_embeddings" in jax.tree_util.keystr(path):
            values[is_silent(cfg, len(values))] = 0
        return np.asarray(values + (name == "scale"), np.float32)

    return jax.tree_util.tree_map_with_path(leaf, model.abstract_params(cfg))


def random_batch(cfg: ModelConfig, pad: int, seed: int) -> dict[str, np.ndarray]:
    """Rows of T, T − 3 and T − 6 tokens, all predicted at random ids; no real token is [PAD]."""
    draw = np.random.default_rng(seed)
    real_BT = np.arange(T) < T - 3 * np.arange(B)[:, None]
    tokens_BT = draw.integers(0, cfg.vocab_size, (B, T))
    tokens_BT[tokens_BT == pad] = pad + 2
    types_BT = draw.integers(0, max(cfg.type_vocab_size, 1), (B, T)) * real_BT
    return {
        "tokens": np.where(real_BT, tokens_BT, pad).astype(np.int32),
        "token_types": types_BT.astype(np.int32),
        "segments": real_BT.astype(np.int32),
        "positions": np.tile(np.arange(T, dtype=np.int32), (B, 1)),
        "predict_positions": np.tile(np.arange(T, dtype=np.int32), (B, 1)),
        "cls_positions": np.zeros((B, 1), np.int32),
        "labels": np.where(real_BT, draw.integers(0, cfg.vocab_size, (B, T)), -100),
        "next_labels": draw.integers(0, 2, B),
    }


def _logits(cfg: ModelConfig, params: dict, batch: dict) -> dict[str, jax.Array]:
    outputs = model.apply(cfg, params, batch)
    found = {"masked_lm": outputs["masked_lm_logits"][..., : cfg.vocab_size]}
    if cfg.next_sentence_head:
        found["next_sentence"] = outputs["next_sentence_logits"][:, 0]
    return found


@jit_for_config
def our_logits(cfg: ModelConfig, params: dict, batch: dict) -> dict[str, jax.Array]:
    """Our masked-LM logits [B, T, V] and, with the head, next-sentence logits [B, 2]."""
    return _logits(cfg, params, batch)


@jit_for_config
def our_gradients(cfg: ModelConfig, params: dict, batch: dict) -> tuple[dict, dict]:
    """Our logits, and gradients of the mean masked-LM loss plus the mean next-sentence loss."""

    def loss(params):
        logits, labels = _logits(cfg, params, batch), batch["labels"]
        picked = jnp.take_along_axis(
            jax.nn.log_softmax(logits["masked_lm"]), jnp.maximum(labels, 0)[..., None], -1
        )[..., 0]
        total = -jnp.sum(picked * (labels >= 0)) / jnp.sum(labels >= 0)
        if cfg.next_sentence_head:
            scores = jax.nn.log_softmax(logits["next_sentence"])
            total -= jnp.take_along_axis(scores, batch["next_labels"][:, None], -1).mean()
        return total, logits

    gradients, logits = jax.grad(loss, has_aux=True)(params)
    return logits, gradients


def their_outputs(reference: Any, batch: dict[str, np.ndarray]) -> Any:
    """Outputs of a transformers model in evaluation mode."""
    as_torch = {name: torch.tensor(np.asarray(values, np.int64)) for name, values in batch.items()}
    types = {}
    if getattr(reference.config, "type_vocab_size", 0):
        types["token_type_ids"] = as_torch["token_types"]
    return reference.eval()(
        input_ids=as_torch["tokens"], attention_mask=as_torch["segments"], **types
    )


def _heads(outputs: Any) -> dict[str, Any]:
    """Logits of a class of any system, by our names."""
    if "prediction_logits" not in outputs:
        return {"masked_lm": outputs.logits}
    pairs = "sop_logits" if "sop_logits" in outputs else "seq_relationship_logits"
    return {"masked_lm": outputs.prediction_logits, "next_sentence": outputs[pairs]}


def their_loss(reference: Any, batch: dict[str, np.ndarray]) -> Any:
    """The loss of `our_gradients`."""
    logits = _heads(their_outputs(reference, batch))
    labels = torch.tensor(batch["labels"]).long().flatten()
    loss = torch.nn.functional.cross_entropy(logits["masked_lm"].flatten(0, 1), labels)
    if "next_sentence" in logits:
        labels = torch.tensor(batch["next_labels"]).long()
        loss = loss + torch.nn.functional.cross_entropy(logits["next_sentence"], labels)
    return loss


def their_logits(reference: Any, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `our_logits` returns, from a transformers model."""
    with torch.no_grad():
        logits = _heads(their_outputs(reference, batch))
    return {name: values.numpy() for name, values in logits.items()}


def assert_same_logits(ours: dict, theirs: dict, batch: dict, tolerance: float) -> None:
    """Equal at every real token; what padding queries see is undefined on both sides."""
    real_BT = batch["segments"] > 0
    assert ours.keys() == theirs.keys()
    np.testing.assert_allclose(
        np.asarray(ours["masked_lm"])[real_BT], theirs["masked_lm"][real_BT], 0, tolerance
    )
    if "next_sentence" in ours:
        np.testing.assert_allclose(ours["next_sentence"], theirs["next_sentence"], 0, tolerance)


def export(cfg: ModelConfig, params: dict, tokenizer: Tokenizer, out: Path) -> Path:
    """Export with a card that says nothing."""
    report = huggingface.export_model(cfg, params, tokenizer, out, CARD, LINES)
    assert report.path == out and report.lines == len(LINES)
    return out


def load(directory: Path) -> Any:
    """Load with the class that config.json names, and fail on any complaint."""
    name = transformers.AutoConfig.from_pretrained(directory).architectures[0]
    reference, info = getattr(transformers, name).from_pretrained(
        directory, output_loading_info=True
    )
    assert not any(info.values()), info
    return reference


@contextmanager
def complaints() -> Iterator[list[str]]:
    """Collect what is warned of inside, by `warnings` or by a logger of transformers."""
    logger, messages = logging.getLogger("transformers"), []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.WARNING)  # whatever else in this process has silenced
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield messages
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        messages += [str(warning.message) for warning in caught]


def same_bits(one: dict, other: dict) -> bool:
    """Whether two parameter trees have the same structure and the same bytes."""
    equal = jax.tree.map(
        lambda a, b: a.shape == b.shape and np.asarray(a).tobytes() == np.asarray(b).tobytes(),
        one,
        other,
    )
    return jax.tree.all(equal)
