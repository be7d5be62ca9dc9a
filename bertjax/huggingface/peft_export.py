"""Low-rank updates as a folder of `peft`: adapter_config.json and adapter_model.safetensors.

Names and layout are those of peft 0.21: A is [r, inputs] and B [outputs, r], a head lies whole
beside them. Updates of parameters that lie in one tensor of transformers, such as those of queries
and values in a fused projection, become one update of their ranks' sum, whose B is zero outside of
each one's own outputs: the same product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bertjax import model
from bertjax.config import HeadConfig, LoraConfig, ModelConfig
from bertjax.huggingface.export import ExportReport
from bertjax.huggingface.few_weights import Folder, own_tensors, write_folder
from bertjax.huggingface.names import Architecture, Tensor, hub_tensors, task_architecture
from bertjax.model.task import TaskShape
from bertjax.text.tokenizer import Tokenizer
from bertjax.tree import flatten

_PREFIX = "base_model.model."
_TASKS = {
    "classification": "SEQ_CLS",
    "multi_label": "SEQ_CLS",
    "regression": "SEQ_CLS",
    "tagging": "TOKEN_CLS",
    "span_qa": None,  # the class for QUESTION_ANS loses token types (peft 0.21, `forward`)
    "multiple_choice": None,
}


def export_lora(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    lora: LoraConfig,
    labels: Sequence[str],
    weights: model.Params,
    tokenizer: Tokenizer,
    out: Path,
    base: str,
) -> ExportReport:
    """Write the updates, the head and what else was trained.

    `weights` are the trained ones alone, `base` is what transformers loads the encoder from.

    Raises:
        UserError: no class of transformers has this head, or `out` cannot be written.
    """
    architecture = task_architecture(cfg, head, shape)
    leaves = {path: np.asarray(leaf, np.float32) for path, leaf in flatten(weights).items()}
    every = hub_tensors(cfg, architecture)
    updates = {
        _module(tensor): found
        for tensor in every
        if (found := _update(cfg, architecture, tensor, leaves)) is not None
    }
    tensors = {}
    for module, (a, b) in updates.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = a
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = b
    own = own_tensors(cfg, architecture, head, shape, leaves)
    tensors |= {f"{_PREFIX}{name}": array for name, array in own.items()}
    ranks = {module: len(a) for module, (a, _) in updates.items()}
    rank = min(ranks.values())
    wider = {module: ranks[module] for module in ranks if ranks[module] != rank}
    config = {
        "peft_type": "LORA",
        "task_type": _TASKS[shape.family],
        "base_model_name_or_path": base or None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": lora.scale * rank,
        "lora_dropout": lora.dropout,
        "rank_pattern": wider,
        "alpha_pattern": {module: lora.scale * size for module, size in wider.items()},
        "target_modules": _targets(updates, map(_module, every)),
        "modules_to_save": sorted({_saved_module(architecture, name) for name in own}),
        "bias": "none",
        "fan_in_fan_out": not architecture.system.transposed,
    }
    use = 'from peft import PeftModel\n\nmodel = PeftModel.from_pretrained(base, "FOLDER")\n'
    folder = Folder(
        {"adapter_config.json": config}, {"adapter_model.safetensors": tensors}, "peft", use
    )
    return write_folder(folder, cfg, architecture, head, shape, labels, tokenizer, out, base)


def _update(
    cfg: ModelConfig,
    architecture: Architecture,
    tensor: Tensor,
    leaves: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray] | None:
    """A and B of a tensor, [r, inputs] and [outputs, r]; None if nothing in it has an update."""
    dense = [path.removesuffix("/kernel") for path in tensor.paths if path.endswith("/kernel")]
    given = [path for path in dense if f"{path}/update/a" in leaves]
    if not given:
        return None
    a = np.concatenate([leaves[f"{path}/update/a"].T for path in given])
    shapes, bands = flatten(model.abstract_params(cfg)), []
    for path in dense:  # the outputs of each, which other updates leave alone
        band = np.zeros((shapes[f"{path}/kernel"].shape[1], len(a)), np.float32)
        if path in given:
            up = leaves[f"{path}/update/b"].T
            column = given.index(path) * up.shape[1]
            band[:, column : column + up.shape[1]] = up
        bands.append(band)
    b, order = np.concatenate(bands), architecture.system.rows(cfg, tensor.paths)
    return np.ascontiguousarray(a), np.ascontiguousarray(b if order is None else b[order])


def _module(tensor: Tensor) -> str:
    return tensor.name.removesuffix(".weight").removesuffix(".bias")


def _targets(wanted: Iterable[str], every: Iterable[str]) -> list[str]:
    """The ends of the modules' names if no other module has them, else their names."""
    wanted, every = set(wanted), set(every)
    ends = {name.rpartition(".")[2] for name in wanted}
    same = {name for name in every if name.rpartition(".")[2] in ends}
    return sorted(ends if same == wanted else wanted)


def _saved_module(architecture: Architecture, name: str) -> str:
    """The module of a head, or of the encoder, that holds a tensor."""
    return name.removeprefix(architecture.prefix).partition(".")[0]
