"""The same model, batches and step in transformers and PyTorch, at their best settings.

bf16 autocast, scaled-dot-product attention (flash where there is one), `torch.compile` and fused
AdamW on a GPU; float32 and eager on a CPU. This is the only file of the package that imports them,
and only when a comparison is asked for.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from bertjax.bench.ours import Bench
from bertjax.config import PretrainConfig
from bertjax.errors import UserError
from bertjax.huggingface.config_json import to_hub_config
from bertjax.huggingface.names import architecture_of


def require_comparable(cfg: PretrainConfig, mesh: Mesh) -> None:
    """Refuse, before anything is compiled, what this side cannot do alike or at all."""
    try:
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--compare transformers: {error.name} is not installed: pip install torch transformers"
        ) from None
    if len(cfg.networks) > 1 or cfg.model.attention == "causal":
        raise UserError(
            "--compare transformers: its classes train masked LM alone as ours do: leave out "
            "replaced_tokens.weight and model.attention=causal"
        )
    platform, packed = mesh.devices.flat[0].platform, cfg.data.max_packed
    if packed > 1:
        raise UserError(
            f"--compare transformers: with data.max_packed={packed} its examples would see one "
            "another, having no mask of segments: compare with data.max_packed=1"
        )
    if platform == "tpu":
        raise UserError("--compare transformers takes a CPU or one NVIDIA GPU, and this is a TPU")
    if platform == "gpu" and mesh.devices.size > 1:
        raise UserError(
            f"--compare transformers takes one GPU, and JAX has {mesh.devices.size}: set "
            "CUDA_VISIBLE_DEVICES=0"
        )
    if platform == "gpu" and not torch.cuda.is_available():
        raise UserError(
            f"--compare transformers: PyTorch {torch.__version__} sees no GPU and JAX does: "
            "install a build of it for CUDA"
        )


class TorchBench:
    """transformers' pretraining model on the batches of `ours`, masked as ours are.

    What `require_comparable` refuses must have been refused.
    """

    def __init__(self, ours: Bench):
        import torch
        import transformers

        self.torch, self.ours, cfg = torch, ours, ours.of_phase
        on_gpu = ours.mesh.devices.flat[0].platform == "gpu"
        self.device = torch.device("cuda" if on_gpu else "cpu")
        self.half = self.device.type == "cuda" and cfg.train.compute_dtype == "bfloat16"
        torch.manual_seed(cfg.seed)
        self.model: Any = _build(transformers, ours).to(self.device).train()
        takes = inspect.signature(type(self.model).forward).parameters
        names = ("next_sentence_label", "sentence_order_label")  # ALBERT's is the second
        self.pair_labels = next((name for name in names if name in takes), "")
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.forward = torch.compile(self.model) if self.device.type == "cuda" else self.model
        self.mask = jax.jit(partial(ours.objective.corrupt, seed=cfg.seed))
        self.settings = (
            f"torch {torch.__version__}, transformers {transformers.__version__}, "
            f"{'bf16 autocast' if self.half else 'float32'}, "
            f"{'torch.compile' if self.device.type == 'cuda' else 'eager'}, SDPA, fused AdamW, "
            f"{torch.get_num_threads()} CPU threads"
        )
        self.steps: list[float] = []  # seconds a step, the mean of each round
        self.at = 1
        began = time.perf_counter()
        self._step(self._inputs(0))
        self.compile_seconds = time.perf_counter() - began
        self._step(self._inputs(0))

    def run(self, count: int) -> None:
        """Take `count` steps; batches are masked and moved outside of the time."""
        inputs = []
        for index in range(self.at, self.at + count):
            inputs.append(self._inputs(index))
        self._wait()
        began = time.perf_counter()
        for given in inputs:
            self._step(given)
        self._wait()
        self.steps.append((time.perf_counter() - began) / count)
        self.at += count

    def _step(self, inputs: dict[str, Any]) -> None:
        half = self.torch.autocast("cuda", self.torch.bfloat16) if self.half else None
        try:
            with half or contextlib.nullcontext():
                loss = self.forward(**inputs).loss
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        except self.torch.OutOfMemoryError as error:
            rows, seq_len = inputs["input_ids"].shape
            raise UserError(
                f"--compare transformers: PyTorch ran out of the device's memory at {rows} rows of "
                f"{seq_len}, which both sides take: lower data.phases.{self.ours.phase}.batch_size"
            ) from error
        self.optimizer.zero_grad(set_to_none=True)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def _inputs(self, index: int) -> dict[str, Any]:
        batch = jax.device_get(self.mask(self.ours.source.batch(index)))
        labels = np.full(batch["tokens"].shape, -100)
        rows, slots = np.nonzero(batch["predict_weights"])
        labels[rows, batch["predict_positions"][rows, slots]] = batch["predict_labels"][rows, slots]
        arrays = {
            "input_ids": batch["tokens"],
            "token_type_ids": batch["token_types"],
            "labels": labels,
        }
        if self.ours.cfg.data.format != "full_rows":
            arrays["attention_mask"] = batch["segments"] != 0
        if self.ours.of_phase.predicts_pairs:
            arrays[self.pair_labels] = np.maximum(batch["pair_labels"][:, 0], 0)
        return {
            k: self.torch.tensor(np.asarray(v, np.int64)).to(self.device) for k, v in arrays.items()
        }


def _build(transformers: Any, ours: Bench) -> Any:
    """The class that an export names, its vocabulary padded as ours is."""
    cfg = ours.of_phase
    shape = replace(
        cfg.model,
        vocab_size=cfg.model.padded_vocab_size,
        next_sentence_head=cfg.predicts_pairs,
    )
    architecture = architecture_of(shape)
    fields = to_hub_config(shape, ours.data.first.special, architecture)
    if fields["hidden_act"] == "gelu_new":  # the same function in one kernel
        fields["hidden_act"] = "gelu_pytorch_tanh"
    config = transformers.AutoConfig.for_model(**fields, attn_implementation="sdpa")
    return getattr(transformers, architecture.name)(config)
