"""An exported graph in onnxruntime beside JAX and PyTorch: size, and seconds a sentence.

    bertjax export RUN --out HF_DIR --encoder --onnx
    python benchmarks/onnx_graph.py HF_DIR [--threads 2] [--rounds 4] [--busy]

Batches of 32 rows of 16 to 128 tokens go through the three in turn, round after round, in one
process; what is compiled is compiled before. A row is full, which is best for all three. Wall and
CPU seconds are those of the fastest round. On a busy machine there are no figures unless --busy.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import onnxruntime
import torch
import transformers
from quiet import require_quiet

from bertjax.cli.main import in_one_line
from bertjax.huggingface.onnx_graph import FILE
from bertjax.huggingface.programs import encoder_program
from bertjax.pretrained import open_pretrained

ROWS, LENGTHS = 32, (16, 32, 32, 64, 64, 128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path, help="made by `export --encoder --onnx`")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--busy", action="store_true", help="whatever else the machine does")
    args = parser.parse_args()
    if not args.busy:
        require_quiet()
    transformers.logging.set_verbosity_error()
    draw = np.random.default_rng(0)
    vocabulary = transformers.AutoConfig.from_pretrained(args.directory).vocab_size
    batches = [draw.integers(0, vocabulary, (ROWS, length)) for length in LENGTHS]
    sides = {
        "onnxruntime": in_onnxruntime(args.directory, args.threads),
        "JAX": in_jax(args.directory),
        "PyTorch": in_pytorch(args.directory, args.threads),
    }
    states = {name: [run(batch) for batch in batches] for name, run in sides.items()}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(args.rounds):
        for name, run in sides.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for batch in batches:
                run(batch)
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    weights = {"graph": FILE, "safetensors": "model.safetensors"}
    sizes = (f"{k} {(args.directory / v).stat().st_size / 1e6:.1f} MB" for k, v in weights.items())
    print(", ".join(sizes))
    sentences = ROWS * len(LENGTHS)
    print(f"{'':12}{'ms a sentence':>14}{'of CPU':>10}{'to PyTorch':>12}{'furthest':>12}")
    for name, rounds in taken.items():
        wall, cpu = (1e3 * min(column) / sentences for column in zip(*rounds, strict=True))
        ratio = min(rounds)[0] / min(taken["PyTorch"])[0]
        pairs = zip(states[name], states["PyTorch"], strict=True)
        furthest = max(float(np.abs(a - b).max()) for a, b in pairs)
        print(f"{name:12}{wall:>14.2f}{cpu:>10.2f}{ratio:>12.2f}{furthest:>12.1e}")


def in_onnxruntime(directory: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Threads that wait by spinning would count as CPU seconds.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(directory / FILE), options)
    names = {one.name for one in session.get_inputs()}

    def run(batch: np.ndarray) -> np.ndarray:
        feed = {"input_ids": batch, "attention_mask": np.ones_like(batch)}
        feed["token_type_ids"] = np.zeros_like(batch)
        return session.run(["last_hidden_state"], {k: v for k, v in feed.items() if k in names})[0]

    return run


def in_jax(directory: Path) -> Callable[[np.ndarray], np.ndarray]:
    found = open_pretrained(directory)
    heads = ("masked_lm", "next_sentence", "replaced_token")
    kept = {name: part for name, part in found.params.items() if not name.startswith(heads)}
    program = encoder_program(found.cfg, jax.device_put(kept))
    compiled = jax.jit(lambda batch: program.run(batch)["last_hidden_state"])

    def run(batch: np.ndarray) -> np.ndarray:
        tokens = batch.astype(np.int32)
        ones = np.ones_like(tokens)
        places = np.cumsum(ones, axis=1, dtype=np.int32) - 1
        fed = {"tokens": tokens, "segments": ones, "token_types": ones - 1, "positions": places}
        return np.asarray(compiled(fed))

    return run


def in_pytorch(directory: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    torch.set_num_threads(threads)
    model = transformers.AutoModel.from_pretrained(directory).eval()

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found = model(input_ids=torch.tensor(batch), attention_mask=torch.ones(batch.shape))
        return found.last_hidden_state.numpy()

    return run


if __name__ == "__main__":
    sys.exit(in_one_line("onnx_graph.py", main))
