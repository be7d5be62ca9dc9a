"""Shell scripts whose `bertjax` is this process, which has imported and compiled already."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from bertjax.cli.main import main


def run_script(
    script: Path, *words: object, place: Path, more: Mapping[str, Sequence[str]] | None = None
) -> int:
    """Its exit code. `more` has arguments to be typed behind those of a verb.

    What it and its commands say goes where this process's own words go; `place` has room for a
    folder of programs. No argument may have several lines.
    """
    (programs := place / "programs").mkdir(parents=True)
    asked, answered = programs / "asked", programs / "answered"
    for pipe in (asked, answered):
        os.mkfifo(pipe)
    ask = f'{{ pwd; for word; do echo "$word"; done; }} >{asked}\nread -r code <{answered}\n'
    for name, work in {
        "bertjax": f'{ask}exit "$code"',
        "python": f'exec {sys.executable} "$@"',
    }.items():
        (programs / name).write_text(f"#!/bin/bash\n{work}\n")
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    running = subprocess.Popen([script, *map(str, words)], env=environment)

    def end() -> None:
        running.wait()
        asked.write_text("")

    here = os.getcwd()
    threading.Thread(target=end, daemon=True).start()
    try:
        while command := asked.read_text().splitlines():
            directory, *argv = command
            os.chdir(directory)
            code = main([*argv, *(more or {}).get(argv[0], [])])
            answered.write_text(f"{code}\n")
    finally:
        os.chdir(here)
        running.kill()
    return running.wait()
