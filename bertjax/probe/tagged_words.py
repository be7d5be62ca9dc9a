"""What the states of each layer say of a word's part of speech, to a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import ExamplesConfig, FinetuneConfig, ModelConfig, TaskConfig
from bertjax.errors import UserError
from bertjax.linear import softmax_regression
from bertjax.probe.rows import Rows, Share, device_batch, how, in_turn, plan
from bertjax.probe.scores import Scores
from bertjax.tasks.tagged_files import read_sentences
from bertjax.tasks.tagging import Tagging
from bertjax.tasks.task import Example
from bertjax.text.account import Account
from bertjax.text.tokenizer import Tokenizer

SIZES = (200, 1000)  # sentences that a classifier is trained on
_SEED = 0  # of which ones
_LONGEST = 512  # tokens of a row


def read_tagged(path: str) -> list[Example]:
    """The sentences of CoNLL-U with their universal parts of speech (UPOS).

    Raises:
        UserError: the file cannot be read, has no sentence, or a line is no word with its tag.
    """
    account = Account(hint="; correct the line or remove the sentence")
    cfg = FinetuneConfig(data=ExamplesConfig(layout="conllu"))
    found = []
    for sentence in read_sentences(path, cfg, True, account):
        if sentence.problem:
            account.leave(sentence.place, sentence.problem)
        found.append(Example(sentence.place, sentence.id, sentence.words, sentence.tags))
    if not found:
        raise UserError(f"{path}: no sentence in it: give CoNLL-U, ten columns with tabs between")
    return found


def tag_scores(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    train: Sequence[Example],
    test: Sequence[Example],
    tokens_at_once: int = 8_192,
) -> dict[str, Scores]:
    """Accuracy on the words of N test sentences, by layer and by size of the training set.

    The encoder is frozen. A word is its first piece that is more than a space, as in fine-tuning;
    a word that no row has, or whose tag the training sentences lack, is an error. The training
    sentences are drawn once for all models, the small set from the large one.

    Args:
        cfg: the architecture.
        params: of the encoder at least.
        tokenizer: the model's.
        train: sentences to train on; all of them where there are fewer than a size asks for.
        test: sentences to be scored.
        tokens_at_once: tokens of a batch, padding included.

    Returns:
        `SIZE/layer_I` -> shares of the words of each sentence; layer 0 is the embeddings.
    """
    order = np.random.default_rng(_SEED).permutation(len(train))[: SIZES[-1]]
    chosen = [train[i] for i in order]
    labels = sorted({tag for example in (*chosen, *test) for tag in example.label})
    task = _task(cfg, tuple(labels))
    tokenizer = tokenizer.for_words()
    x_train, y_train, of_train = _states(cfg, params, tokenizer, task, chosen, tokens_at_once)
    x_test, y_test, of_test = _states(cfg, params, tokenizer, task, test, tokens_at_once)
    words = np.array([len(example.texts) for example in test])
    found = {}
    for size in sorted({min(size, len(chosen)) for size in SIZES}):
        mine = of_train < size
        for layer in range(cfg.num_layers + 1):
            linear = softmax_regression(x_train[mine, layer], y_train[mine], len(labels))
            right = linear.classes(x_test[:, layer]) == y_test
            name = f"{size}/layer_{layer}"
            totals = np.bincount(of_test, right, len(test))
            found[name] = Scores.ratio(name, totals, words, "of the words", "high")
    return found


def _task(cfg: ModelConfig, labels: tuple[str, ...]) -> Tagging:
    data = ExamplesConfig(max_length=min(cfg.max_positions, _LONGEST))
    return Tagging(FinetuneConfig(model=cfg, task=TaskConfig(family="tagging"), data=data), labels)


def _states(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    task: Tagging,
    examples: Sequence[Example],
    tokens_at_once: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of W words: states float32 [W, layers + 1, D], tags int64 [W] and the example of each."""
    encoded = task.encode(examples, tokenizer)
    rows, places = Rows.of(encoded.tokens), encoded.ragged["word_positions"]
    sizes = np.array([len(of_row) for of_row in places])
    ends = np.cumsum(sizes)
    states = np.zeros((int(ends[-1]), cfg.num_layers + 1, cfg.hidden_size), np.float32)

    def run(share: Share) -> Array:
        table = rows.table(share.chosen, share.width, tokenizer.special.pad)
        lengths = rows.lengths[share.chosen].astype(np.int32)
        return _layers(cfg, share.full, params, table, lengths)

    for share, found in in_turn(plan(rows.lengths, tokens_at_once), run):
        for row, of_row in zip(share.chosen[share.real], found, strict=False):
            states[ends[row] - sizes[row] : ends[row]] = of_row[places[row]]
    tags = np.concatenate(encoded.ragged["tags"]).astype(np.int64)
    return states, tags, np.repeat(encoded.examples, sizes)


@partial(jax.jit, static_argnums=(0, 1))
def _layers(
    cfg: ModelConfig, full: bool, params: model.Params, tokens_BT: Array, lengths_B: Array
) -> Array:
    """States of every layer, float32 [B, T, layers + 1, D]."""
    batch = device_batch(tokens_BT, lengths_B)
    states = model.apply(cfg, params, batch, compute=how(full))["hidden_states"]
    return jax.numpy.stack(states, axis=2)
