"""Nodes that onnxruntime is slow at, written as others that give the same."""

from __future__ import annotations

from typing import Any

import numpy as np


def faster(graph: Any) -> None:
    """Change a graph in place: products of attention as MatMul, its mask as a sum."""
    _products(graph)
    _masks(graph)


def _products(graph: Any) -> None:
    """An Einsum of two arrays that share axes, of which one is summed, as MatMul."""
    from onnx import helper

    nodes: list[Any] = []

    def transposed(name: str, have: str, want: str, made: str) -> str:
        if have == want:
            return name
        order = [have.index(axis) for axis in want]
        nodes.append(helper.make_node("Transpose", [name], [made], perm=order))
        return made

    for node in graph.node:
        if node.op_type != "Einsum" or len(node.input) != 2:
            nodes.append(node)
            continue
        sides, out = node.attribute[0].s.decode().replace(" ", "").split("->")
        left, right = sides.split(",")
        shared = "".join(axis for axis in out if axis in left and axis in right)
        rows = "".join(axis for axis in left if axis in out and axis not in right)
        columns = "".join(axis for axis in right if axis in out and axis not in left)
        summed = "".join(axis for axis in left if axis not in out)
        if not len(rows) == len(columns) == len(summed) == 1 or summed not in right:
            nodes.append(node)
            continue
        name, made = node.output[0], shared + rows + columns
        factors = (
            transposed(node.input[0], left, shared + rows + summed, f"{name}_left"),
            transposed(node.input[1], right, shared + summed + columns, f"{name}_right"),
        )
        product = name if made == out else f"{name}_product"
        nodes.append(helper.make_node("MatMul", factors, [product]))
        transposed(product, made, out, name)
    del graph.node[:]
    graph.node.extend(nodes)


def _masks(graph: Any) -> None:
    """Where(mask, scores, lowest) as scores + Where(mask, 0, lowest): once for all heads."""
    from onnx import helper, numpy_helper

    expanded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Expand"}
    constants = {one.name: one for one in graph.initializer}
    nodes = []
    for node in graph.node:
        mask, scores, floor = node.input if node.op_type == "Where" else ("", "", "")
        if mask in expanded and floor in constants and _is_lowest(constants[floor]):
            added = f"{node.output[0]}_added"
            nodes.append(helper.make_node("Where", [expanded[mask], "no_mask", floor], [added]))
            nodes.append(helper.make_node("Add", [scores, added], node.output))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.zeros((), np.float32), "no_mask"))


def _is_lowest(constant: Any) -> bool:
    from onnx import numpy_helper

    return bool((numpy_helper.to_array(constant) == np.finfo(np.float32).min).all())
