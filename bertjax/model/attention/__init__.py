"""Attention behind one interface: what `attend` computes does not depend on what computes it."""

from bertjax.model.attention.choice import Call, choose
from bertjax.model.attention.interface import attend
from bertjax.model.attention.reference import Window

__all__ = ["Call", "Window", "attend", "choose"]
