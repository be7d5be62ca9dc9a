"""Every test sees one fake device or, with the marker `mesh`, eight; no hub, and the user's cache.

What takes long to make is made once for all workers: `once`, and the text and corpus below.

XLA reads its flags when JAX starts, so they are set before anything imports it.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import importlib.util
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xla_flags
from hypothesis import HealthCheck, settings

from bertjax.cli.compilation import keep_compiled

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
# PyTorch's threads wait for one another by spinning: 17 times the time beside other processes.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"  # where each operation was written
# Compilation is most of the suite's time, so what was compiled is kept where commands keep theirs.
# Workers and subprocesses of tests share the folder.
keep_compiled()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the home directory cannot be written to
    _cache = tempfile.mkdtemp(prefix="bertjax-xla-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)

# Tracing makes so many objects that a tenth of the time went into looking for cycles among them.
gc.set_threshold(100_000, 50, 100)

# How long an example takes says how busy the machine is. The same examples every time, so that a
# change is to blame for what fails; `--hypothesis-profile=search` draws new ones.
_ANY_PACE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _ANY_PACE)
settings.register_profile("tests", _ANY_PACE, derandomize=True)
settings.load_profile("tests")

# Torch is pinned to a build that not every Python has; parity is measured where it is.
ORACLE = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
collect_ignore = [] if ORACLE else ["huggingface"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--mesh", action="store_true", help="have eight devices: what `mesh` needs")
    parser.addoption("--optimized", action="store_true", help="run programs as users do")
    parser.addoption("--one-case", action="store_true", help="run the first case of each test")


def pytest_configure(config: pytest.Config) -> None:
    """XLA takes its flags for a whole process, when the first array is made."""
    quick = "" if config.option.optimized else xla_flags.QUICK
    devices = xla_flags.devices(8 if config.option.mesh else 1)
    os.environ["XLA_FLAGS"] = f"{devices} {quick}"


@pytest.hookimpl(trylast=True)  # of the cases that markers leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.mesh:
        for item in items:
            if item.get_closest_marker("mesh"):
                item.add_marker(pytest.mark.skip(reason="needs eight devices: pytest --mesh"))
    if config.option.one_case:
        first: dict[str, pytest.Item] = {}
        for item in items:
            first.setdefault(item.nodeid.partition("[")[0], item)
        config.hook.pytest_deselected(items=[item for item in items if item not in first.values()])
        items[:] = first.values()


@pytest.fixture(autouse=True, scope="module")
def room_for_programs() -> Iterator[None]:
    """Forget what was compiled before a process has more mappings than Linux lets it have.

    A program takes some tens of 65,530, and XLA ends in a segmentation fault where it gets no more.
    """
    yield
    mappings = Path("/proc/self/maps")
    if mappings.exists() and len(mappings.read_bytes().splitlines()) > 20_000:
        import jax  # not before its flags are set

        jax.clear_caches()
        gc.collect()


def pytest_report_header() -> str | None:
    return None if ORACLE else "no torch or transformers here: tests/huggingface is left out"


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real text and task data beside the checkout; skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA.parent.name}/{SHARED_DATA.name} here")
    return SHARED_DATA


Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Once:
    """`once(name, make)`: the path that `make(path)` filled, for whichever worker asked first."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # each worker's own lies in the one of the session

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = root / name, root / name / "done"
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder / name)
                done.touch()
        return folder / name

    return made


@pytest.fixture(scope="session")
def text(once) -> Path:
    """English-like documents."""
    import tiny_run  # not before JAX's flags are set

    return once("text", tiny_run.write_text)


@pytest.fixture(scope="session")
def corpus(once, text) -> Path:
    """`text`, prepared with a vocabulary of its own."""
    import tiny_run

    return once("corpus", lambda out: tiny_run.prepare(text, out))


@pytest.fixture(scope="session")
def two_phases(once) -> Path:
    import tiny_run

    return once("two_phases.py", lambda path: path.write_text(tiny_run.TWO_PHASES))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on how many rows trained and served tokens were compared, by family of tasks."""
    counts: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, count in getattr(report, "user_properties", ()):
            if name.startswith("served rows: "):
                counts[name] += count
    for name, count in counts.items():
        terminalreporter.write_line(f"{name} {count:,}")
