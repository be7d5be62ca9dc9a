"""Attention behind one interface: what `attend` computes does not depend on what computes it."""

from bertjax.model.attention.check import KERNELS, TOLERANCE, difference, rows_at_once
from bertjax.model.attention.choice import Call, choose
from bertjax.model.attention.interface import attend
from bertjax.model.attention.reference import Window

__all__ = [
    "KERNELS",
    "TOLERANCE",
    "Call",
    "Window",
    "attend",
    "choose",
    "difference",
    "rows_at_once",
]
