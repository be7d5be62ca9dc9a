"""Imports go one way, as docs/design.md says, and heavy or foreign packages stay where they are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "bertjax"

# Module or folder of bertjax -> what it may import from bertjax, besides itself.
DESIGN = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
BASE = {"config", "durable", "errors", "terminal", "version", "written"}


def allowed() -> dict[str, set[str]]:
    """Module or folder -> what it may import besides itself, by the tables of the page."""
    tables = re.findall(r"^\| module \| may import \|.*\n\|[-|]+\n((?:\|.*\n)+)", DESIGN, re.M)
    found: dict[str, set[str]] = {}
    for modules, may, _ in re.findall(r"^\| (.*?) \| (.*?) \| (.*) \|$", "".join(tables), re.M):
        words, but = set(may.split(", ")), may.removeprefix("everything but ")
        names = words - {"base", "nothing"} | (BASE if "base" in words else set())
        if may.startswith("everything"):
            names = MODULES - {but}
        for module in re.findall(r"`(\w+)/?`", modules):
            assert module not in found, f"docs/design.md has two rows of {module}"
            found[module] = names
    return found


ALLOWED = allowed()

# Third-party package -> the only places that may import it.
CONFINED = {
    "flax": {"model"},
    "optax": {"optim"},
    "orbax": {"checkpoint"},
    "sentencepiece": {"text/sentencepiece_json.py", "text/tokenizer_training.py"},
    "safetensors": {"huggingface"},
    "tensorflow_datasets": {"data", "text/tfds.py"},
    **{
        name: {"huggingface/onnx_graph.py", "huggingface/onnx_speed.py"}
        for name in ("jax2onnx", "onnx", "onnxruntime")
    },
    "matplotlib": {"ablate/charts.py", "figures", "finetuning/plots.py"},
    "tensorboardX": {"runs/log.py"},
    "rjieba": {"text/chinese_words.py"},
    "scipy": {"fuse/weights.py", "linear", "statistics"},
    "apache_beam": {"data/beam.py", "data/beam_pipeline.py"},
    # For `bertjax bench --compare transformers`, and only once that is asked for.
    "torch": {"bench/pytorch.py"},
    "transformers": {"bench/pytorch.py"},
}
NEVER = {"tensorflow"}
FOREIGN = NEVER | {"torch", "transformers"}
NO_JAX = {
    "text",
    "data",
    "config",
    "errors",
    "overrides",
    "recipes",
    "tasks",
    "metrics",
    "statistics",
    "linear",
    "transfer",
}


def imports(path: Path) -> set[str]:
    """Dotted names a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_page_has_a_row_for_every_module_and_names_no_other():
    assert ALLOWED.keys() == MODULES
    assert set().union(*ALLOWED.values()) <= MODULES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    relative = path.relative_to(PACKAGE)
    layer = relative.parts[0].removesuffix(".py")
    for name in imports(path):
        top, *rest = name.split(".")
        if top == "bertjax":
            target = rest[0] if rest[0] in MODULES else "__init__"  # its public names
            assert target == layer or target in ALLOWED[layer], f"{relative} imports {name}"
        assert top not in NEVER, f"{relative} imports {name}"
        if layer in NO_JAX:
            assert top != "jax", f"{relative} imports {name}"
        if top in CONFINED:
            allowed = CONFINED[top]
            assert layer in allowed or str(relative) in allowed, f"{relative} imports {name}"


def test_no_two_modules_import_each_other():
    """Circles between modules, however long, those for type checkers included."""
    names = {module_of(path): path for path in FILES}
    needs = {
        name: {i if i in names else i.rpartition(".")[0] for i in imports(path)} & names.keys()
        for name, path in names.items()
    }
    while needs:
        needed = set().union(*needs.values())
        free = {n for n, others in needs.items() if not others & needs.keys() or n not in needed}
        assert free, f"a circle among {sorted(needs)}"
        needs = {name: others - free for name, others in needs.items() if name not in free}


def module_of(path: Path) -> str:
    """`bertjax.model` for bertjax/model/__init__.py."""
    dotted = ".".join(("bertjax", *path.relative_to(PACKAGE).with_suffix("").parts))
    return dotted.removesuffix(".__init__")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.py")), ids=lambda p: p.name)
def test_configs_import_only_config_and_recipes(path):
    for name in imports(path):
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        assert name.startswith(("bertjax.config.", "bertjax.recipes.")), name


def test_nothing_imports_scripts_tests_or_configs():
    for path in FILES:
        tops = {name.split(".")[0] for name in imports(path)}
        assert not tops & {"scripts", "tests", "configs", "benchmarks"}, path


def test_importing_every_module_brings_no_torch_transformers_or_tensorflow():
    modules = [module_of(p) for p in FILES if p.name != "__main__.py"]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({FOREIGN!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_file_and_function_can_be_held_in_the_head():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 350, f"{path} is too long for one purpose"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                size = (node.end_lineno or 0) - node.lineno
                limit = 120 if node.name == "_train" else 80  # a run, from top to bottom
                assert size <= limit, f"{path}: {node.name} has {size} lines"
