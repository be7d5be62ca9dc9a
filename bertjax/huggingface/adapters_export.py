"""Bottlenecks as a folder of the library `adapters`: a config and tensors of them, and of the head.

Names and layout are those of adapters 1.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bertjax import model
from bertjax.config import AdapterConfig, HeadConfig, ModelConfig
from bertjax.errors import UserError
from bertjax.huggingface.export import ExportReport
from bertjax.huggingface.few_weights import Folder, own_tensors, write_folder
from bertjax.huggingface.names import Architecture, task_architecture
from bertjax.model.task import TaskShape
from bertjax.text.tokenizer import Tokenizer
from bertjax.tree import flatten

_VERSION = "adapters.1.3.0"
_ACTIVATIONS = {"gelu_tanh": "gelu_new", "silu": "swish"}
_MODULES = {"down": "adapter_down.0", "up": "adapter_up"}
# What the two ways are in `adapters`: double_seq_bn and seq_bn.
_KINDS: dict[str, dict[str, bool]] = {
    "houlsby": {"mh_adapter": True, "original_ln_before": False},
    "pfeiffer": {"mh_adapter": False, "original_ln_before": True},
}


_KNOWN = ("bert", "roberta", "electra", "distilbert")


class Bottlenecks(NamedTuple):
    """What the adapters are."""

    method: str  # houlsby | pfeiffer
    cfg: AdapterConfig  # with its activation


def export_adapters(
    cfg: ModelConfig,
    head: HeadConfig,
    shape: TaskShape,
    kind: Bottlenecks,
    labels: Sequence[str],
    weights: model.Params,
    tokenizer: Tokenizer,
    out: Path,
    base: str,
) -> ExportReport:
    """Write the bottlenecks and the head.

    `weights` are the trained ones alone, `base` is what transformers loads the encoder from.

    Raises:
        UserError: `adapters` has no place for something that was trained, no class of transformers
            has this head, or `out` cannot be written.
    """
    architecture = task_architecture(cfg, head, shape)
    leaves = {path: np.asarray(leaf, np.float32) for path, leaf in flatten(weights).items()}
    name = out.name.replace(".", "_")
    bottlenecks = _bottlenecks(cfg, architecture, leaves, name)
    own = own_tensors(cfg, architecture, head, shape, leaves)
    within = sorted(key for key in own if key.startswith(architecture.prefix))
    if within:
        raise UserError(
            f"--adapters: {len(within)} weights of the encoder were trained too, first "
            f"{within[0]}, for which the library has no place: train with adapter.norms=False on "
            "an encoder that has all its parts"
        )
    whose = {
        "hidden_size": cfg.hidden_size,
        "model_class": architecture.name,
        "model_name": base,
        "model_type": architecture.model_type,
        "version": _VERSION,
    }
    names = {str(label): i for i, label in enumerate(labels)}
    # Their own loader wants a number of labels, of spans too.
    counted = {"label2id": names or None, "num_labels": shape.outputs}
    configs: dict[str, dict[str, Any]] = {
        "adapter_config.json": {"config": _fields(kind), "name": name} | whose,
        "head_config.json": {"config": None, "name": None} | counted | whose,
    }
    tensors = {"adapter.safetensors": bottlenecks, "model_head.safetensors": own}
    use = (
        "import adapters\n\nadapters.init(base)\n"
        'base.load_adapter("FOLDER", set_active=True, use_safetensors=True)\n'
    )
    folder = Folder(configs, tensors, "adapters", use)
    return write_folder(folder, cfg, architecture, head, shape, labels, tokenizer, out, base)


def _bottlenecks(
    cfg: ModelConfig, architecture: Architecture, leaves: Mapping[str, np.ndarray], name: str
) -> dict[str, np.ndarray]:
    """The library's tensors of all adapters."""
    added = {path.rpartition("/")[0] for path in leaves if "_adapter/" in path}
    found: dict[str, np.ndarray] = {}
    for layer in range(max(cfg.layer_weights) + 1):
        group, inner = divmod(layer, cfg.inner_layers)
        for ours, theirs in architecture.system.adapters.items():
            module = architecture.prefix + theirs.format(layer, group=group, inner=inner)
            for part, their_part in _MODULES.items():
                path = f"{ours.format(layer)}/{part}"
                if path in added:
                    key = f"{module}.adapters.{name}.{their_part}"
                    found[f"{key}.weight"] = np.ascontiguousarray(leaves[f"{path}/kernel"].T)
                    found[f"{key}.bias"] = leaves[f"{path}/bias"]
                    added.remove(path)
    if added:
        raise UserError(
            f"--adapters: the library has no place in a {cfg.family} for {min(added)}: it has one "
            f"for houlsby and pfeiffer in {', '.join(_KNOWN)}, for pfeiffer in albert; predict "
            "with the run itself"
        )
    return found


def _fields(kind: Bottlenecks) -> dict[str, Any]:
    """The fields of `BnConfig` that are not its defaults, and those that have none."""
    return {
        "output_adapter": True,
        "reduction_factor": kind.cfg.reduction,
        "non_linearity": _ACTIVATIONS.get(kind.cfg.activation, kind.cfg.activation),
        "original_ln_after": True,
        "residual_before_ln": True,
        "adapter_residual_before_ln": False,
        "ln_before": False,
        "ln_after": False,
        **_KINDS[kind.method],
    }
