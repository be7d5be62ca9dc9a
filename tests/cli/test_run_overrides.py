"""What may be said otherwise of a trained run: how a file is read, and which class f1 is of."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from bertjax.cli.evaluate import split_arguments
from bertjax.config import ExamplesConfig
from bertjax.config.finetune import READING
from bertjax.errors import UserError

IGNORED = {field.name for field in fields(ExamplesConfig)} - set(READING)


def test_what_a_reader_goes_by_may_differ():
    names = [*(f"data.{name}" for name in READING), "task.positive"]
    given = [f"{name}=x" for name in names]
    assert split_arguments(["run", *given]) == ([Path("run")], given)


@pytest.mark.parametrize("name", [*(f"data.{name}" for name in sorted(IGNORED)), "tune.epochs"])
def test_what_would_be_ignored_is_refused(name):
    with pytest.raises(UserError, match=f"^{name}=1: a trained run keeps its config") as caught:
        split_arguments(["run", f"{name}=1"])
    assert "data.text_pair" in str(caught.value) and "\n" not in str(caught.value)
