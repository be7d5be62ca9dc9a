"""scripts/install.py: uv goes by what pip goes by, and where uv does not, pip does."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "install.py"

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("pip"), reason="no pip here")


@pytest.fixture
def install():
    return runpy.run_path(str(SCRIPT))


def test_uv_is_told_where_pip_finds_packages(install, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    written = tmp_path / "pip.conf"
    written.write_text(
        "[global]\nindex-url = https://a.invalid/simple\nconstraint = everywhere.txt\n"
        "[install]\nconstraint = a.txt\n  b.txt\nno-index = false\n[download]\nfind-links = no\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(written))
    monkeypatch.setenv("PIP_INDEX_URL", "https://b.invalid/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    settings = install["pip_settings"]()
    told = install["uv_options"](settings)
    for name, values in {
        "index-url": ["https://b.invalid/simple"],  # the environment has precedence
        "constraint": ["a.txt", "b.txt"],  # and `install` over `global`
        "find-links": ["/wheels"],
    }.items():
        assert [option for option in told if option.startswith(f"--{name}=")] == [
            f"--{name}={value}" for value in values
        ]
    assert "--no-index" not in told
    assert "--no-index" in install["uv_options"]({"no-index": "1"})


@pytest.mark.parametrize("fails", [(), ("uv",), ("pip", "uv")])
def test_where_uv_fails_pip_installs(install, monkeypatch, fails):
    """`fails`: the programs whose first call does."""
    called, left = [], list(fails)

    def call(command, **_):
        words = command[2:]  # after `python -m`
        called.append((words[0], words[-1]))
        if words[0] in left:
            left.remove(words[0])
            return 1
        return 0

    monkeypatch.setattr(subprocess, "call", call)
    assert install["main"](["numpy"]) == 0
    expected = {
        (): [("pip", "uv"), ("uv", "numpy")],
        ("uv",): [("pip", "uv"), ("uv", "numpy"), ("pip", "numpy")],
        ("pip", "uv"): [("pip", "uv"), ("pip", "numpy")],
    }
    assert called == expected[fails]
