"""How a model is computed. Nothing here changes what it computes, or its parameters."""

from __future__ import annotations

from dataclasses import dataclass

from bertjax.model.attention import Call, Window


@dataclass(frozen=True)
class Compute:
    """The choices behind one compiled program; hashable, so that programs are shared."""

    dtype: str = "float32"  # of matrix products: float32 | bfloat16
    platform: str = "cpu"  # of the devices that will run it
    attention: str = "reference"  # auto, or a backend of `bertjax.model.attention`
    rows: str = "packed"  # what `segments` may hold: full | padded | packed
    scan_layers: bool = False  # compile one layer and loop over it
    remat: str = "none"  # what the backward pass computes again: none | dots | full

    def call(self, seq_len: int, head_size: int, drops: bool, window: Window = None) -> Call:
        """The call of attention that a layer makes."""
        return Call(self.platform, self.dtype, seq_len, head_size, self.rows, window, drops)


EXACT = Compute()
