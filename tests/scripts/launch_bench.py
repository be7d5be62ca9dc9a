"""A place to try launchers in: a config, and stand-ins on PATH that write down their calls."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "scripts" / "launch"
AWKWARD = ["data.corpus=/data/two words", """note=it's a "test" $HOME `id` \\ * {x}""", "a=b=c"]

# Launcher -> the options it needs besides --config and --workdir.
OWN = {
    "single_gpu.sh": "",
    "multi_gpu.sh": "",
    "tpu_vm.sh": "",
    "slurm_multinode.sh": "--nodes 2 --gpus-per-node 4",
    "slurm_array.sh": "--runs runs.txt",
    "tpu_pod.sh": "--name bert --zone us-west4-a --accelerator v5litepod-64",
    "gke_xpk.sh": "--cluster c --zone us-west4-a --name bert --tpu-type v5litepod-64 "
    "--image example/bertjax:tpu",
}
LOCAL = ["single_gpu.sh", "multi_gpu.sh", "tpu_vm.sh"]

# Writes down its name and arguments, \0 after each and \1 \0 at the end.
RECORD = r"""#!/usr/bin/env bash
printf '%s\0' "${0##*/}" "$@" $'\1' >>"${0%/*}/calls"
"""
# Prints the words of every command it reads in the same way, as bash itself takes them.
READ_COMMANDS = r"""
while IFS= read -r line; do
  eval "set -- $line"
  printf '%s\0' "$@" $'\1'
done
"""


def _split(record: bytes) -> list[list[str]]:
    return [words.split("\0")[:-1] for words in record.decode().split("\1\0")[:-1]]


def split_commands(text: str) -> list[list[str]]:
    """The words of each line of `text`, a command."""
    reader = ["bash", "-c", READ_COMMANDS]
    done = subprocess.run(reader, input=text.encode(), capture_output=True, check=True)
    return _split(done.stdout)


def exits(*codes: int) -> str:
    """A stand-in's end: with these exit codes, one call after the other; the last one stays."""
    return f"""
codes=({" ".join(map(str, codes))})
calls=$(cat "$0.calls" 2>/dev/null || echo 0)
echo $((calls + 1)) >"$0.calls"
exit "${{codes[calls < {len(codes)} ? calls : -1]}}"
"""


class Bench:
    """A directory of its own, where every launcher finds what `OWN` names."""

    def __init__(self, path: Path):
        self.path = path
        self.bin = path / "bin"
        self.runs = path / "my runs"
        self.bin.mkdir()
        (path / "configs").mkdir()
        (path / "configs" / "tiny.py").write_text("def get_config(): ...\n")
        (path / "runs.txt").write_text("# ablations\nbase\n\nno_nsp  a=1 'b=x y'\n")
        self.environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "HOME": str(path),
            "TMPDIR": str(path),
        }

    def stand_in(self, name: str, body: str = "") -> None:
        """Put a program on PATH that writes down its call, then does `body`, lines of bash."""
        (self.bin / name).write_text(RECORD + body)
        (self.bin / name).chmod(0o755)

    def calls(self, *names: str) -> list[list[str]]:
        """The calls so far of these stand-ins, or of all."""
        record = self.bin / "calls"
        calls = _split(record.read_bytes()) if record.exists() else []
        return [call for call in calls if not names or call[0] in names]

    def arguments(self, launcher: str, *more: str, overrides: list[str] | None = None) -> list[str]:
        """A command line that is right, with `more` options."""
        run = ["--config", "configs/tiny.py", "--workdir", str(self.runs)]
        own = shlex.split(OWN[launcher])
        return [str(LAUNCH / launcher), *own, *run, *more, "--", *(overrides or [])]

    def run(self, arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run to the end, here and with these stand-ins."""
        return subprocess.run(
            arguments,
            cwd=self.path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def dry(self, launcher: str, *more: str, overrides: list[str] | None = None) -> list[list[str]]:
        """The commands of a dry run, each as its words."""
        done = self.run(self.arguments(launcher, "--dry-run", *more, overrides=overrides))
        assert (done.returncode, done.stderr) == (0, ""), done
        return split_commands(done.stdout)

    def pretrain(self, *more: str, config: str = "configs/tiny.py", run: str = "") -> list[str]:
        """The command that all launchers are there for."""
        workdir = str(self.runs / run)
        return ["bertjax", "pretrain", *more, "--config", config, "--workdir", workdir]

    def signalled(self, arguments: list[str], sent: int, **environment: str) -> int:
        """The exit code of a launcher that gets a signal once its run has called a stand-in."""
        process = subprocess.Popen(
            # Where pytest has SIGINT ignored, a shell below it could not take it back.
            ["env", "--default-signal=INT", *arguments],
            cwd=self.path,
            env=self.environment | environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 20
        while not (self.bin / "ready").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(sent)
        return process.wait(timeout=20)


def remote(command: list[str]) -> str:
    """What a gcloud command is to run on the hosts."""
    (text,) = (word.removeprefix("--command=") for word in command if word.startswith("--command="))
    return text
