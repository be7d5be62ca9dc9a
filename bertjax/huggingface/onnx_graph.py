"""A model as an ONNX graph, made from the program that JAX traces, without PyTorch.

`jax2onnx` turns the traced program into a graph with a free number of rows and tokens. Inputs and
outputs are called as transformers calls them; the file lies where the Hub looks for it,
`onnx/model.onnx`.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bertjax.errors import UserError
from bertjax.huggingface.onnx_speed import faster

FILE = "onnx/model.onnx"
TOLERANCE = 1e-4  # between onnxruntime and JAX, of the largest output or of 1

Batch = dict[str, jax.Array]
_PACKAGES = ("onnx", "onnx_ir", "onnxruntime", "jax2onnx")
_OPSET = 18
_INPUTS = {"input_ids": "tokens", "attention_mask": "segments", "token_type_ids": "token_types"}
_LARGEST = 2_000_000_000  # bytes: protobuf ends at 2 GiB; weights of larger models lie beside


@dataclass(frozen=True)
class Program:
    """What a class of transformers computes.

    `run` takes int32 [B, T] `tokens`, `segments`, `token_types`, `positions` and returns float32
    arrays by name. With `grouped`, rows come and go as groups of endings, [B, endings, T].
    """

    run: Callable[[Batch], dict[str, jax.Array]]
    token_types: bool  # whether the model has any
    grouped: bool = False


def require_onnx() -> None:
    """Raise UserError unless what writes and checks a graph is installed."""
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--onnx needs {', '.join(missing)}: pip install 'bertjax[onnx]' && pip install "
            "--no-deps jax2onnx (what it asks for besides is not used, and wants an older Orbax)"
        )


def write_onnx(path: Path, program: Program, rows: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Write the graph of a program and compare what onnxruntime makes of some batches with JAX.

    `rows` are batches of int32 [B, T] `tokens`, `segments` and `token_types`, of unequal sizes.

    Raises:
        UserError: the graph computes something else than the program, or cannot be run.
    """
    import onnx

    names = [name for name in _INPUTS if program.token_types or name != "token_type_ids"]
    order: list[str] = []

    def traced(*inputs: jax.Array) -> tuple[jax.Array, ...]:
        outputs = program.run(_batch(names, inputs))
        order[:] = outputs
        return tuple(outputs.values())

    graph = _as_transformers_has_it(_converted(traced, names), names, order, program.grouped)
    faster(graph.graph)
    path.parent.mkdir(exist_ok=True)
    large = graph.ByteSize() > _LARGEST
    onnx.save_model(graph, path, save_as_external_data=large, location=f"{path.name}_data")
    for batch in rows:
        _compare(path, program, names, batch)


class _Free:
    """The shape of an input, as jax2onnx reads it."""

    shape = ("rows", "tokens")
    dtype = jnp.int32


def _batch(names: Sequence[str], inputs: Sequence[jax.Array]) -> Batch:
    given = dict(zip(names, inputs, strict=True))
    batch = {ours: given.get(theirs, jnp.zeros_like(inputs[0])) for theirs, ours in _INPUTS.items()}
    # No arange: the number of tokens is not known.
    return batch | {"positions": jnp.cumsum(jnp.ones_like(inputs[0]), axis=1) - 1}


def _converted(traced: Callable[..., Any], names: Sequence[str]) -> Any:
    with _quiet():
        from jax2onnx import to_onnx

        shapes = [_Free() for _ in names]
        return to_onnx(traced, shapes, input_names=list(names), opset=_OPSET)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what jax2onnx says of libraries that are not here, and what is said of its own."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _as_transformers_has_it(
    model: Any, names: Sequence[str], outputs: Sequence[str], grouped: bool
) -> Any:
    """Inputs of int64, in groups where there are any, and outputs by their names."""
    from onnx import TensorProto, helper

    graph = model.graph
    dims = ["batch", "choices", "tokens"] if grouped else ["batch", "tokens"]
    for node in graph.node:
        node.input[:] = [f"{name}_rows" if name in names else name for name in node.input]
    before, after = [], []
    for name in names:
        cast = f"{name}_32" if grouped else f"{name}_rows"
        before.append(helper.make_node("Cast", [name], [cast], to=TensorProto.INT32))
        if grouped:
            before.append(helper.make_node("Flatten", [cast], [f"{name}_rows"], axis=2))
    made = [(one.name, one.type.tensor_type.shape.dim) for one in graph.output]
    del graph.input[:], graph.output[:]
    graph.input.extend(helper.make_tensor_value_info(n, TensorProto.INT64, dims) for n in names)
    for name, (inner, sizes) in zip(outputs, made, strict=True):
        shape = [size.dim_value or size.dim_param for size in sizes]
        if grouped:  # [B * endings, 1] -> [B, endings]
            shape = dims[:2]
            after.append(helper.make_node("Shape", [names[0]], ["groups"], start=0, end=2))
            after.append(helper.make_node("Reshape", [inner, "groups"], [name]))
        else:
            after.append(helper.make_node("Identity", [inner], [name]))
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _compare(
    path: Path, program: Program, names: Sequence[str], batch: Mapping[str, np.ndarray]
) -> None:
    import onnxruntime

    given = [np.asarray(batch[_INPUTS[name]], np.int32) for name in names]
    expected = program.run(_batch(names, [jnp.asarray(array) for array in given]))
    feed = {name: array.astype(np.int64) for name, array in zip(names, given, strict=True)}
    if program.grouped:
        feed = {name: array[None] for name, array in feed.items()}
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(list(expected), feed)
    except Exception as error:  # what onnxruntime raises has no other base
        raise UserError(f"{path}: onnxruntime refuses it: {str(error).splitlines()[0]}") from None
    real = np.asarray(batch["segments"]) > 0
    for name, ours, theirs in zip(expected, map(np.asarray, expected.values()), found, strict=True):
        theirs = theirs.reshape(ours.shape)
        if ours.shape[:2] == real.shape:  # of each token, and what padding gives means nothing
            ours, theirs = ours[real], theirs[real]
        apart, limit = np.abs(ours - theirs).max(), TOLERANCE * max(1.0, np.abs(ours).max())
        if not apart <= limit:
            raise UserError(
                f"{path}: {name} differs by {apart:.1e} from JAX, the limit is {limit:.1e}: leave "
                "out --onnx and report this model"
            )
