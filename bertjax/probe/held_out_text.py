"""What a masked LM makes of text that it has not seen: loss, bits a byte, cloze accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.errors import UserError
from bertjax.probe.pseudo_likelihood import log_probability
from bertjax.probe.rows import Rows, Share, device_batch, how, in_turn, plan
from bertjax.probe.scores import Scores
from bertjax.text.account import Account
from bertjax.text.chunks import documents
from bertjax.text.sources import find_sources
from bertjax.text.tokenizer import Tokenizer

RATE = 0.15  # of the pieces of each row that are masked, always the same ones
_SEED = 0  # of which ones
_LONGEST = 512  # tokens of a row
_TOP = 5


def read_texts(path: str) -> list[str]:
    """The documents of a file, or of all that `path` names (`bertjax.text.inputs`).

    Raises:
        UserError: it cannot be read, or holds no text.
    """
    account = Account()
    sources = find_sources([path], account=account)
    chunks = (chunk for source in sources for chunk in source.chunks(account))
    texts = [text for chunk in chunks for text in documents(chunk, account)]
    if not texts:
        raise UserError(f"{path}: no text in it: give a file with a blank line between documents")
    return texts


def text_scores(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    tokens_at_once: int = 8_192,
) -> dict[str, Scores]:
    """Scores of N texts by what a masked LM says of their masked pieces.

    15 % of the pieces of each row are masked, the same ones for every model with this tokenizer. A
    text that is longer than a row becomes several. A piece has the bytes of the text, in UTF-8,
    from the end of the piece before it to its own end, white space included; so all pieces have
    all bytes of the text, each once, in any tokenizer, and bits a byte compare across tokenizers.

    Args:
        cfg: the architecture.
        params: with a masked-LM head.
        tokenizer: the model's.
        texts: of any length.
        tokens_at_once: tokens of a batch, padding included.

    Returns:
        `loss` in nats a masked piece, `bits_per_byte` of the masked text, and `top1` and `top5`,
        the share of masked pieces that are the likeliest, and among the five likeliest.

    Raises:
        UserError: no text has a piece.
    """
    rows, text_of, bytes_of = _rows(cfg, tokenizer, texts)
    if not len(text_of):
        raise UserError("no text has a piece of the vocabulary in it: give other text")
    special = tokenizer.special
    masked = [_masked(row, int(length)) for row, length in enumerate(rows.lengths)]
    counts = np.array([len(places) for places in masked])

    def run(share: Share) -> Array:
        table = rows.table(share.chosen, share.width, special.pad)
        places = np.zeros((len(share.chosen), _masks(share.width)), np.int32)
        for to, row in zip(places, share.chosen, strict=True):
            to[: counts[row]] = masked[row]
        sizes = rows.lengths[share.chosen], counts[share.chosen]
        as_int32 = (size.astype(np.int32) for size in sizes)
        return _row_sums(cfg, special.mask, share.full, params, table, places, *as_int32)

    sums = np.zeros((3, len(text_of)))
    for share, found in in_turn(plan(rows.lengths, tokens_at_once), run):
        sums[:, share.chosen[share.real]] = found[:, share.real]

    def of_texts(values: np.ndarray) -> np.ndarray:
        return np.bincount(text_of, values, len(texts))

    hidden = [bytes_of[rows.starts[i] + places].sum() for i, places in enumerate(masked)]
    pieces, (nats, first, among) = of_texts(counts), map(of_texts, sums)
    return {
        "loss": Scores.ratio("loss", nats, pieces, "nats a piece", "low"),
        "bits_per_byte": Scores.ratio(
            "bits_per_byte", nats / math.log(2), of_texts(np.array(hidden)), "bits a byte", "low"
        ),
        "top1": Scores.ratio("top1", first, pieces, "of the masked pieces", "high"),
        "top5": Scores.ratio("top5", among, pieces, "of the masked pieces", "high"),
    }


def _rows(
    cfg: ModelConfig, tokenizer: Tokenizer, texts: Sequence[str]
) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Rows of about equal length, the text of each, and the bytes of each of their tokens."""
    most = min(cfg.max_positions, _LONGEST) - tokenizer.framing.special_tokens(1)
    rows, text_of, sizes = [], [], []
    for number, text in enumerate(texts):
        ids, offsets = tokenizer.encode_with_offsets(text)
        if not ids:
            continue
        parts = -(-len(ids) // most)
        of_pieces = np.array_split(piece_bytes(text, offsets), parts)
        for part, size in zip(np.array_split(np.array(ids), parts), of_pieces, strict=True):
            rows.append(tokenizer.framing.row(part.tolist())[0])
            text_of.append(number)
            sizes += [0, *size.tolist(), 0]  # special tokens stand for no text
    return Rows.of(rows), np.array(text_of, np.int64), np.array(sizes)


def piece_bytes(text: str, offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """Bytes of UTF-8 that each piece stands for, int64 [pieces], by `text_scores`' rule.

    What follows the last piece is the last piece's.
    """
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    wide = 1 + (codes >= 0x80).astype(np.int64) + (codes >= 0x800) + (codes >= 0x10000)
    bytes_before = np.append(0, np.cumsum(wide))
    ends = np.maximum.accumulate([end for _, end in offsets])
    ends[-1] = len(text)
    return np.diff(bytes_before[ends], prepend=0)


def _masks(length: int) -> int:
    """How many pieces of a row are masked; a row has one at least."""
    return max(1, round(RATE * (length - 2)))


def _masked(row: int, length: int) -> np.ndarray:
    draws = np.random.default_rng((_SEED, row)).random(length - 2)
    return 1 + np.sort(np.argsort(draws, kind="stable")[: _masks(length)])


@partial(jax.jit, static_argnums=(0, 1, 2))
def _row_sums(
    cfg: ModelConfig,
    mask: int,
    full: bool,
    params: model.Params,
    tokens_BT: Array,
    places_BK: Array,
    lengths_B: Array,
    counts_B: Array,
) -> Array:
    """Nats, and how many pieces are the likeliest and among the five likeliest: float32 [3, B]."""
    B, T = tokens_BT.shape
    K = places_BK.shape[1]
    labels_BK = jnp.take_along_axis(tokens_BT, places_BK, axis=1)
    real_BK = jnp.arange(K) < counts_B[:, None]
    at_BK = jnp.where(real_BK, places_BK, T)  # beyond the row, where nothing is written
    hidden_BT = tokens_BT.at[jnp.arange(B)[:, None], at_BK].set(mask, mode="drop")
    batch = device_batch(hidden_BT, lengths_B) | {"predict_positions": places_BK}
    logits_BKV = model.masked_lm_logits(cfg, params, batch, compute=how(full))
    at_label_BK1 = jnp.take_along_axis(logits_BKV, labels_BK[..., None], axis=-1)
    rank_BK = (logits_BKV >= at_label_BK1).sum(axis=-1)  # of equals the label is the last
    known_BK = rank_BK >= 1  # logits that are no numbers rank nothing
    first_BK, among_BK = known_BK & (rank_BK <= 1), known_BK & (rank_BK <= _TOP)
    found = (-log_probability(logits_BKV, labels_BK), first_BK, among_BK)
    return jnp.stack([(values_BK * real_BK).sum(axis=1) for values_BK in found])
