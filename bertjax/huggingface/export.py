"""A trained model as a Hugging Face directory that is read back before anyone can see it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from bertjax import model
from bertjax.config import ModelConfig
from bertjax.durable import staged
from bertjax.errors import UserError
from bertjax.huggingface.config_json import first_position, to_hub_config
from bertjax.huggingface.exported_keys import EXPORTED_KEYS
from bertjax.huggingface.importing import import_model
from bertjax.huggingface.model_card import CardFacts, model_card
from bertjax.huggingface.names import Architecture, architecture_of, hub_tensors
from bertjax.huggingface.onnx_graph import FILE as GRAPH
from bertjax.huggingface.onnx_graph import Program, write_onnx
from bertjax.huggingface.programs import pretraining_program
from bertjax.huggingface.tensors import to_hub
from bertjax.huggingface.text_vectors import TextVectors, vector_files
from bertjax.huggingface.weights import FILE, write_weights
from bertjax.text.special import SpecialIds
from bertjax.text.tokenizer import Tokenizer
from bertjax.tree import flatten

MIN_CHECK_LINES = 1000


@dataclass(frozen=True)
class ExportReport:
    """What was written and checked."""

    path: Path
    architecture: str  # class of transformers
    parameters: int
    bytes: int  # of all files
    lines: int  # on which both tokenizers made the same rows
    graph: bool = False  # whether there is one for onnxruntime too


@dataclass(frozen=True)
class Content:
    """What a directory will hold besides its tokenizer."""

    cfg: ModelConfig
    architecture: Architecture
    config: dict[str, Any]  # config.json
    tensors: dict[str, np.ndarray]  # model.safetensors
    card: str  # README.md
    program: Program | None = None  # what the graph in onnx/ is made from; None: no such file
    beside: Mapping[str, Any] = field(default_factory=dict)  # more JSON, by path


def export_model(
    cfg: ModelConfig,
    params: model.Params,
    tokenizer: Tokenizer,
    out: Path,
    card: CardFacts,
    check_lines: Sequence[str],
    *,
    onnx: bool = False,
) -> ExportReport:
    """Write config.json, model.safetensors, tokenizer.json, tokenizer_config.json and README.md.

    With `onnx` also a graph for onnxruntime, compared with JAX on a few rows.
    They are written beside `out`, read back and compared: weights bit for bit, rows of
    `check_lines` (at least 1,000, best of held-out text), alone, in pairs and word by word. Only
    then does the directory get its name, so it is there whole or not at all.

    Raises:
        UserError: no class of transformers computes this model, `params` do not fit `cfg` or are
            not finite, the tokenizer has more pieces than the model, `out` is not empty or cannot
            be written, or what was read back differs.
    """
    check_params(model.abstract_params(cfg), params)
    architecture = architecture_of(cfg)
    config = to_hub_config(cfg, tokenizer.special, architecture)
    program = pretraining_program(cfg, params) if onnx else None
    purpose = "text-generation" if cfg.attention == "causal" else "fill-mask"
    if cfg.replaced_token_head:  # no pipeline has its head
        purpose = "feature-extraction"
    content = make_content(cfg, architecture, config, params, tokenizer, card, purpose, program)

    def read_back(stage: Path) -> dict[str, np.ndarray]:
        imported = import_model(stage)
        return to_hub_tensors(imported.cfg, imported.params, tokenizer.special)

    return write_directory(content, tokenizer, out, check_lines, read_back)


def make_content(
    cfg: ModelConfig,
    architecture: Architecture,
    config: dict[str, Any],
    params: model.Params,
    tokenizer: Tokenizer,
    card: CardFacts,
    purpose: str,
    program: Program | None = None,
    vectors: TextVectors | None = None,
) -> Content:
    """Arrange parameters as an architecture's tensors, and describe them in a card."""
    tensors = to_hub_tensors(cfg, params, tokenizer.special, architecture)
    parameters = sum(tensor.size for tensor in tensors.values())
    text = model_card(architecture, purpose, tokenizer, card, parameters, vectors)
    beside = vector_files(cfg, architecture, vectors) if vectors else {}
    return Content(cfg, architecture, config, tensors, text, program, beside)


def write_directory(
    content: Content,
    tokenizer: Tokenizer,
    out: Path,
    check_lines: Sequence[str],
    read_back: Callable[[Path], dict[str, np.ndarray]],
) -> ExportReport:
    """Write a directory beside `out`, compare what is there with what was meant, and name it.

    `read_back` imports a directory and arranges its parameters as tensors again: every bit must
    be the same. Raises UserError as `export_model` does.
    """
    out = Path(out).absolute()
    unlisted = content.config.keys() - EXPORTED_KEYS
    assert not unlisted, f"config.json would have {sorted(unlisted)}, which EXPORTED_KEYS lacks"
    _check_tokenizer(content.cfg, tokenizer, check_lines)
    with staged(out) as stage:
        for name, value in {"config.json": content.config, **content.beside}.items():
            (stage / name).parent.mkdir(exist_ok=True)
            text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
            (stage / name).write_text(text, encoding="utf-8")
        write_weights(stage / FILE, content.tensors, tokenizer.fingerprint)
        shutil.copymode(stage / "config.json", stage / FILE)  # safetensors makes files private
        _write_tokenizer(stage, content.cfg, tokenizer)
        (stage / "README.md").write_text(content.card, encoding="utf-8")
        _verify_ids(stage, tokenizer, check_lines)
        _compare_weights(stage, content.tensors, read_back(stage))
        if content.program is not None:
            rows = _rows(tokenizer, check_lines, content.cfg.max_positions)
            write_onnx(stage / GRAPH, content.program, rows)
        size = sum(file.stat().st_size for file in stage.rglob("*") if file.is_file())
    parameters = sum(tensor.size for tensor in content.tensors.values())
    name, graph = content.architecture.name, content.program is not None
    return ExportReport(out, name, parameters, size, len(check_lines), graph)


def to_hub_tensors(
    cfg: ModelConfig,
    params: model.Params,
    special: SpecialIds,
    architecture: Architecture | None = None,
) -> dict[str, np.ndarray]:
    """Return an architecture's tensors under their Hugging Face names, in that layout.

    Tied copies are left out, and so are parameters that the architecture has no place for.
    Without an architecture it is that of pretraining.
    """
    architecture = architecture or architecture_of(cfg)
    system, leaves = architecture.system, flatten(params)
    first = first_position(system, special)
    constants = system.constants(cfg).items()
    return {
        tensor.name: to_hub(cfg, system, tensor, leaves, first)
        for tensor in hub_tensors(cfg, architecture, leaves)
    } | {architecture.prefix + name: array for name, array in constants}


def without_next_sentence_head(
    cfg: ModelConfig, params: model.Params
) -> tuple[ModelConfig, model.Params]:
    """Drop the pooler and the next-sentence head, for classes of transformers without them."""
    kept = {name: leaf for name, leaf in params.items() if name not in ("pooler", "next_sentence")}
    return dataclasses.replace(cfg, next_sentence_head=False), kept


def check_params(abstract: model.Params, params: model.Params) -> None:
    """Raise a UserError unless `params` are finite and have the paths and shapes of `abstract`."""
    expected, given = flatten(abstract), flatten(params)
    if expected.keys() != given.keys():
        path = min(expected.keys() ^ given.keys())
        raise UserError(
            f"parameter {path} is only in the {'config' if path in expected else 'weights'}: "
            "export with the config of the run"
        )
    for path, leaf in given.items():
        if leaf.shape != expected[path].shape:
            raise UserError(
                f"parameter {path} has shape {list(leaf.shape)}, the config makes it "
                f"{list(expected[path].shape)}: export with the config of the run"
            )
        if not np.isfinite(np.asarray(leaf)).all():
            raise UserError(
                f"parameter {path} has NaN or infinite values: training diverged; export an "
                "earlier checkpoint"
            )


def _check_tokenizer(cfg: ModelConfig, tokenizer: Tokenizer, check_lines: Sequence[str]) -> None:
    if tokenizer.vocab_size > cfg.vocab_size:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size:,} pieces, the model {cfg.vocab_size:,}: "
            "export with the tokenizer of the run"
        )
    if len(check_lines) < MIN_CHECK_LINES:
        raise UserError(
            f"{len(check_lines):,} lines to compare token ids on: give at least {MIN_CHECK_LINES:,}"
        )


def _write_tokenizer(stage: Path, cfg: ModelConfig, tokenizer: Tokenizer) -> None:
    tokenizer.save(stage, cfg.max_positions)
    if cfg.type_vocab_size <= 1:
        # Else transformers would feed type 1 for a second sentence, past the end of the table.
        file = stage / "tokenizer_config.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        content["model_input_names"] = ["input_ids", "attention_mask"]
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _rows(tokenizer: Tokenizer, lines: Sequence[str], longest: int) -> list[dict[str, np.ndarray]]:
    """Batches of unequal sizes: a row alone, and three rows of which two are padded."""
    encoded = tokenizer.encode_batch(lines[:200], parse_special=True)
    ids = sorted((ids[: longest - tokenizer.framing.special_tokens(1)] for ids in encoded), key=len)
    rows = [tokenizer.framing.row(each) for each in (ids[0], ids[len(ids) // 2], ids[-1])]
    return [_padded(chosen, tokenizer.special.pad) for chosen in (rows[1:2], rows)]


def _padded(rows: Sequence[tuple[np.ndarray, np.ndarray]], pad: int) -> dict[str, np.ndarray]:
    """Tokens and types of rows as arrays [B, T]."""
    width = max(len(tokens) for tokens, _ in rows)

    def stacked(arrays: Iterable[np.ndarray], fill: int) -> np.ndarray:
        return np.stack([np.pad(a, (0, width - len(a)), constant_values=fill) for a in arrays])

    return {
        "tokens": stacked((tokens for tokens, _ in rows), pad),
        "token_types": stacked((types for _, types in rows), 0),
        "segments": stacked((np.ones_like(tokens) for tokens, _ in rows), 0),
    }


def _compare_weights(
    stage: Path, tensors: dict[str, np.ndarray], again: dict[str, np.ndarray]
) -> None:
    for name, tensor in tensors.items():
        if tensor.tobytes() != again[name].tobytes():
            raise UserError(
                f"{stage / FILE}: {name} differs from what was written: check the disk and export "
                "again"
            )


def _verify_ids(stage: Path, tokenizer: Tokenizer, lines: Sequence[str]) -> None:
    """Load the tokenizer as transformers does and compare the rows it makes with ours.

    Each line is a text, a pair with the line after it, and a list of words.
    """
    engine = tokenizers.Tokenizer.from_file(str(stage / "tokenizer.json"))
    config = json.loads((stage / "tokenizer_config.json").read_text(encoding="utf-8"))
    # Those that the file has keep what it says of them, such as the space that <mask> takes.
    known = {token.content for token in engine.get_added_tokens_decoder().values()}
    named = [config[f"{role}_token"] for role in vars(tokenizer.special)]
    engine.add_special_tokens([token for token in named if token not in known])
    texts, words = list(lines), [line.split() for line in lines]
    ids = tokenizer.encode_batch(texts, parse_special=True)
    known_words = sorted({*chain(*words)})  # a fraction of all that stand there
    of_word = dict(
        zip(known_words, tokenizer.encode_batch(known_words, parse_special=True), strict=True)
    )
    pairs, row = list(pairwise(texts)), tokenizer.framing.row
    _compare_rows(texts, engine.encode_batch_fast(texts), map(row, ids))
    _compare_rows(pairs, engine.encode_batch_fast(pairs), (row(*two) for two in pairwise(ids)))
    _compare_rows(
        words,
        engine.encode_batch_fast(words, is_pretokenized=True),
        (row([*chain.from_iterable(map(of_word.__getitem__, line))]) for line in words),
    )


def _compare_rows(
    given: Sequence[Any],
    written: Sequence[tokenizers.Encoding],
    expected: Iterable[tuple[np.ndarray, np.ndarray]],
) -> None:
    for text, theirs, (tokens, types) in zip(given, written, expected, strict=True):
        ours = tokens.tolist()
        if theirs.ids != ours or theirs.type_ids != types.tolist():
            different = (
                i for i, (a, b) in enumerate(zip(theirs.ids, ours, strict=False)) if a != b
            )
            at = next(different, min(len(theirs.ids), len(ours)))
            raise UserError(
                f"the written tokenizer gives ids {theirs.ids[at : at + 8]} from place {at} of "
                f"{str(text)[:60]!r}, the run's gives {ours[at : at + 8]}: its tokenizer.json must "
                "hold the special tokens and put [CLS] before a text, and [SEP] after it and "
                "between two"
            )
