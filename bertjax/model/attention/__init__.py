"""Attention behind one interface: what `attend` computes does not depend on what computes it."""

from bertjax.model.attention.choice import Call, Window, choose
from bertjax.model.attention.interface import attend

__all__ = ["Call", "Window", "attend", "choose"]
