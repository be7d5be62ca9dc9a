"""bertjax: pretrain BERT-family encoders in JAX, fine-tune them and use them.

    import bertjax

    model = bertjax.load("runs/x")
    model.encode(["A text.", "Another one."])

The names below are what programs may rely on; docs/guides/python.md shows each. A name is imported
when it is first used, so that `import bertjax` and `bertjax --help` wait for nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bertjax.version import __version__ as __version__

if TYPE_CHECKING:
    from bertjax.config import FinetuneConfig as FinetuneConfig
    from bertjax.config import PretrainConfig as PretrainConfig
    from bertjax.errors import UserError as UserError
    from bertjax.finetuning.run import finetune as finetune
    from bertjax.loaded import Model as Model
    from bertjax.loaded import load as load
    from bertjax.overrides import apply_overrides as apply_overrides
    from bertjax.recipes.shipped import load_recipe as load_recipe
    from bertjax.terminal import Terminal as Terminal
    from bertjax.train.loop import pretrain as pretrain

_HOMES = {
    "FinetuneConfig": "config",
    "Model": "loaded",
    "PretrainConfig": "config",
    "Terminal": "terminal",
    "UserError": "errors",
    "apply_overrides": "overrides",
    "finetune": "finetuning.run",
    "load": "loaded",
    "load_recipe": "recipes.shipped",
    "pretrain": "train.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bertjax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bertjax.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
