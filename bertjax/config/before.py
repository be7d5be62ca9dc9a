"""Configs as earlier versions wrote them, in today's fields.

Until 2026-11-27 a pair of segments took `data.format`, `data.pairs` and `train.next_sentence_loss`;
now `data.format` is all of them. Until then `train.dropout_prng` chose what drew for dropout; now a
hash does, on every device. Until 2026-11-28 `tune.row_lengths` took 1 to 64, and no more than two
shapes were ever made.
"""

from __future__ import annotations

from typing import Any

from bertjax.config.ablation import AblationConfig
from bertjax.config.data import PAIR_LABELS, PAIR_SHAPES, WITHOUT_LOSS
from bertjax.config.finetune import FinetuneConfig
from bertjax.config.pretrain import PretrainConfig

# What is no option, or none any more -> what says it. Heads follow from what is trained.
_NO_OPTIONS = {
    "data.pairs": "data.format says it: segment_pair+nsp, +sop or +sop_strict",
    "train.next_sentence_loss": "data.format says it: segment_pair+nsp_rows has no such loss",
    "train.dropout_prng": "dropout draws alike on every device and mesh",
    "model.next_sentence_head": "data.format says it: segment_pair+nsp trains one",
    "model.replaced_token_head": "replaced_tokens.weight says it",
}
_HEADS = ("model.next_sentence_head", "model.replaced_token_head")
_OF_PAIRS = ("data.format", "data.pairs", "train.next_sentence_loss")


def no_option(name: str) -> str:
    """What says what the field called `name` would, if that is no option; else nothing."""
    return _NO_OPTIONS.get(".".join(name.split(".")[-2:]), "")


def holds_anyway(cfg: Any, name: str, text: str) -> bool:
    """Whether `cfg` is as the field called `name` asks, that is no option any more.

    So commands of before that did not ask for anything else still do what they did.
    """
    if not isinstance(cfg, PretrainConfig):
        return False
    pairing, asked = cfg.data.pairing, text.strip().lower()
    fitting: dict[str, set[Any]] = {
        "data.pairs": {pairing.label} if pairing else {*PAIR_LABELS, "none"},
        "train.next_sentence_loss": {pairing.predicted} if pairing else {True, False},
        "train.dropout_prng": {"threefry2x32", "rbg"},
        "model.next_sentence_head": {cfg.predicts_pairs},
        "model.replaced_token_head": {cfg.generator is not None},
    }
    return asked in {str(value).lower() for value in fitting.get(name, ())}


def as_today(cls: type, tree: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a `cls` in today's fields, unchecked; any other class's as it is."""
    if cls is PretrainConfig:
        return _pretraining(tree)
    if cls is FinetuneConfig:
        return _finetuning(tree)
    return _ablation(tree) if cls is AblationConfig else tree


def _pretraining(tree: dict[str, Any]) -> dict[str, Any]:
    data, train = _section(tree, "data"), _section(tree, "train")
    if "dropout_prng" in train:
        train = {name: value for name, value in train.items() if name != "dropout_prng"}
        tree = tree | {"train": train}
    if "pairs" not in data and "next_sentence_loss" not in train:
        return tree
    form, label, loss = _typed(data, train)
    if not isinstance(loss, bool):
        return tree
    data = data | {"format": _format(form, label, loss and _masks_whole_rows(tree))}
    return tree | {
        "data": {name: value for name, value in data.items() if name != "pairs"},
        "train": {name: value for name, value in train.items() if name != "next_sentence_loss"},
    }


def _finetuning(tree: dict[str, Any]) -> dict[str, Any]:
    tune = _section(tree, "tune")
    if type(tune.get("row_lengths")) is not int or not 2 < tune["row_lengths"] <= 64:
        return tree
    return tree | {"tune": tune | {"row_lengths": 2}}


def _masks_whole_rows(tree: dict[str, Any]) -> bool:
    """Whether a phase has masked LM, which alone the label of pairs was predicted with."""
    direction = _section(tree, "model").get("attention", "full")
    phases = _section(tree, "data").get("phases", [{}])
    whole = phases if isinstance(phases, list) else []
    directions = [p.get("attention") or direction for p in whole if isinstance(p, dict)]
    return not _section(tree, "replaced_tokens").get("weight") and "full" in directions


def _ablation(tree: dict[str, Any]) -> dict[str, Any]:
    """With the items of arms in today's fields too; `base` is read by itself."""
    base = _section(tree, "base")
    data, train = _section(base, "data"), _section(base, "train")
    arms = tree.get("arms")
    if "pairs" not in data or not isinstance(arms, list):
        return tree
    known = dict(zip(_OF_PAIRS, _typed(data, train), strict=True))
    return tree | {"arms": [_arm(arm, known) for arm in arms]}


def _arm(arm: Any, known: dict[str, Any]) -> Any:
    items = arm.get("overrides") if isinstance(arm, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        return arm
    typed = [(item.partition("=")[0], item) for item in items]
    own = {name: item.partition("=")[2] for name, item in typed if name in _OF_PAIRS}
    form, label, loss = (known | own).values()
    today = f"data.format={_format(form, label, str(loss).lower() == 'true')}"
    renamed = [today if name in own else item for name, item in typed if name not in _HEADS]
    return arm | {"overrides": list(dict.fromkeys(renamed))}


def _typed(data: dict[str, Any], train: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The three fields, with the defaults that they had."""
    loss = train.get("next_sentence_loss", True)
    return data.get("format", "segment_pair"), data.get("pairs", "nsp"), loss


def _format(form: Any, label: Any, loss: Any) -> Any:
    return f"{form}+{label}{'' if loss else WITHOUT_LOSS}" if form in PAIR_SHAPES else form


def _section(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found = tree.get(name)
    return found if isinstance(found, dict) else {}
