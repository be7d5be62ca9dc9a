"""Launchers restart what was saved and nothing else; lost TPU slices are replaced.

The tools they drive (bertjax, gcloud, sbatch, scontrol, srun) are stand-ins on PATH.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest
from launch_bench import AWKWARD, LAUNCH, ROOT, Bench, exits, remote

from bertjax.errors import (
    EXIT_BAD_INPUT,
    EXIT_DAMAGED,
    EXIT_INTERRUPTED,
    EXIT_NON_FINITE,
    EXIT_PREEMPTED,
    EXIT_REQUESTED,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("launcher", ["single_gpu.sh", "tpu_vm.sh"])
def test_a_saved_run_is_started_again_until_it_is_done(bench, launcher):
    bench.stand_in("bertjax", exits(EXIT_PREEMPTED, EXIT_REQUESTED, 0))
    done = bench.run(bench.arguments(launcher, overrides=AWKWARD))
    assert done.returncode == 0, done
    assert bench.calls() == [[*bench.pretrain(), *AWKWARD]] * 3


@pytest.mark.parametrize(
    "code", [1, EXIT_BAD_INPUT, EXIT_NON_FINITE, EXIT_DAMAGED, EXIT_INTERRUPTED, 137]
)
def test_what_restarting_cannot_mend_is_not_restarted(bench, code):
    bench.stand_in("bertjax", exits(code))
    done = bench.run(bench.arguments("multi_gpu.sh"))
    assert done.returncode == code and len(bench.calls()) == 1


def test_restarts_have_a_limit(bench):
    bench.stand_in("bertjax", exits(EXIT_PREEMPTED))
    done = bench.run(bench.arguments("single_gpu.sh", "--max-restarts", "1"))
    assert done.returncode == EXIT_PREEMPTED and len(bench.calls()) == 2
    assert "after 1 restarts, the limit" in done.stderr


# Like bertjax: the first signal asks for a checkpoint, which takes a moment.
SAVES_ON_SIGNALS = """
trap 'code=75' TERM; trap 'code=76' USR1; trap 'code=130' INT
code=; touch "${0%/*}/ready"
for ((i = 0; i < 1200; i++)); do [[ -z $code ]] || break; sleep 0.05; done  # a minute at most
sleep 0.3; echo "$code" >>"$0.saved"; exit "$code"
"""


def saved(bench: Bench) -> str:
    """The signals that bertjax, standing in, has saved for, as exit codes."""
    return (bench.bin / "bertjax.saved").read_text()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGTERM, EXIT_PREEMPTED),
        (signal.SIGUSR1, EXIT_REQUESTED),
        (signal.SIGINT, EXIT_INTERRUPTED),
    ],
)
def test_a_signal_to_the_launcher_saves_and_ends(bench, sent, code):
    bench.stand_in("bertjax", SAVES_ON_SIGNALS)
    assert bench.signalled(bench.arguments("single_gpu.sh"), sent) == code
    assert saved(bench) == f"{code}\n" and len(bench.calls()) == 1


# --- Slurm jobs --------------------------------------------------------------------------------

SRUN = """
[[ $1 == --kill-on-bad-exit=0 && $2 == --wait=0 ]] || exit 99
exec "${@:3}"
"""


def submit(bench: Bench, launcher: str, *overrides: str) -> list[str]:
    """Submit, then be the cluster: returns the job's command, the script copied as to a spool."""
    bench.stand_in("sbatch")
    bench.stand_in("srun", SRUN)
    bench.stand_in("scontrol", "echo JobState=RUNNING")
    done = bench.run(bench.arguments(launcher, overrides=list(overrides)))
    assert done.returncode == 0, done
    (call,) = bench.calls("sbatch")
    job = call.index(str(LAUNCH / "slurm_job.sh"))
    shutil.copy(LAUNCH / "slurm_job.sh", bench.path / "slurm_script")
    return [str(bench.path / "slurm_script"), *call[job + 1 :]]


def requeued(bench: Bench) -> list[str]:
    """The jobs put back into the queue."""
    return [call[2] for call in bench.calls("scontrol") if call[1] == "requeue"]


@pytest.mark.parametrize(
    ("code", "again"),
    [
        *((code, False) for code in (0, 1, 2, 3, 4, 130)),
        *((code, True) for code in (5, 75, 76, 137)),
    ],
)
def test_a_multinode_job_requeues_itself_when_it_can_go_on(bench, code, again):
    job = submit(bench, "slurm_multinode.sh", *AWKWARD)
    bench.stand_in("bertjax", 'echo "$JAX_PLATFORMS $JAX_LOCAL_DEVICE_IDS"\n' + exits(code))
    done = bench.run(job, SLURM_JOB_ID="12")
    assert done.returncode == (0 if again else code), done
    assert done.stdout.startswith("cuda 0,1,2,3\n")
    assert bench.calls("bertjax") == [[*bench.pretrain("--distributed"), *AWKWARD]]
    assert requeued(bench) == (["12"] if again else [])


@pytest.mark.parametrize(
    ("state", "restarts", "said"),
    [("CANCELLED", "0", "is cancelled"), ("RUNNING", "100", "restarted 100 times")],
)
def test_a_cancelled_or_hopeless_job_is_not_requeued(bench, state, restarts, said):
    job = submit(bench, "slurm_multinode.sh")
    bench.stand_in("bertjax", exits(EXIT_PREEMPTED))
    bench.stand_in("scontrol", f"echo JobId=12 JobState={state} Reason=None")
    done = bench.run(job, SLURM_JOB_ID="12", SLURM_RESTART_COUNT=restarts)
    assert done.returncode == EXIT_PREEMPTED and said in done.stderr
    assert requeued(bench) == []


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGTERM])
def test_a_job_gives_srun_only_the_signal_that_srun_passes_on(bench, sent):
    job = submit(bench, "slurm_multinode.sh")
    bench.stand_in("bertjax", SAVES_ON_SIGNALS)
    assert bench.signalled(job, sent, SLURM_JOB_ID="12") == 0
    assert saved(bench) == f"{EXIT_REQUESTED}\n" and requeued(bench) == ["12"]


def test_each_job_of_an_array_takes_its_line(bench):
    (bench.path / "configs" / "b.py").touch()
    (bench.path / "runs.txt").write_text(
        "base\n# comment\n\n  no_nsp  a=1 'b=x  y' c=\"[1, 2]\"\nlast --config configs/b.py d=$HOME"
    )
    job = submit(bench, "slurm_array.sh", "common=1")
    (bench.path / "runs.txt").write_text("edited after submission")
    bench.stand_in("bertjax", exits(0, 0, EXIT_PREEMPTED))
    for index in "123":
        array = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": index}
        assert bench.run(job, SLURM_JOB_ID=f"4{index}", **array).returncode == 0
    assert bench.calls("bertjax") == [
        [*bench.pretrain(run="base"), "common=1"],
        [*bench.pretrain(run="no_nsp"), "common=1", "a=1", "b=x  y", "c=[1, 2]"],
        [*bench.pretrain(run="last", config="configs/b.py"), "common=1", "d=$HOME"],
    ]
    assert requeued(bench) == ["40_3"]  # by number alone it could be the whole array


def test_a_job_without_its_launcher_or_its_line_says_so(bench):
    done = bench.run([str(LAUNCH / "slurm_job.sh"), "--help"])
    assert done.returncode == 2 and "submitted by slurm_multinode.sh" in done.stderr
    job = submit(bench, "slurm_array.sh")
    done = bench.run(job, SLURM_JOB_ID="41", SLURM_ARRAY_JOB_ID="40", SLURM_ARRAY_TASK_ID="9")
    assert done.returncode == 2 and "SLURM_ARRAY_TASK_ID is 9" in done.stderr, done


def test_a_run_of_one_process_that_was_killed_is_not_requeued(bench):
    job = submit(bench, "slurm_array.sh")
    bench.stand_in("bertjax", exits(137))  # out of memory: it would be again
    array = {"SLURM_ARRAY_JOB_ID": "40", "SLURM_ARRAY_TASK_ID": "1"}
    assert bench.run(job, SLURM_JOB_ID="41", **array).returncode == 137
    assert requeued(bench) == []


# --- TPU slices --------------------------------------------------------------------------------

# Cloud TPU with one queued resource. `states` has a line a state, each seen once but the last.
CLOUD = r"""
states=$0.states
case $* in
  *" describe "*)
    mapfile -t lines <"$states"
    ((${{#lines[@]}})) || {{ echo "ERROR: NOT_FOUND: no such resource" >&2; exit 1; }}
    echo "WARNING: old" >&2
    echo "${{lines[0]}}"
    echo "Updates are available." >&2
    ((${{#lines[@]}} == 1)) || printf '%s\n' "${{lines[@]:1}}" >"$states"
    ;;
  *" create "*) printf '%s\n' {created} >"$states" ;;
  *" delete "*) : >"$states" ;;
  *" scp "*) {scp} ;;
  *"tpu_worker.sh train"*) {train} ;;
esac
"""


def cloud(
    bench: Bench, train: str = ":", created: str = "ACTIVE", scp: str = ":", now: str = ""
) -> None:
    """gcloud standing in; `train` and `scp` are what those calls do, in bash."""
    bench.stand_in("gcloud", CLOUD.format(train=train, created=created, scp=scp))
    (bench.bin / "gcloud.states").write_text(now)


def pod(bench: Bench, *more: str) -> subprocess.CompletedProcess[str]:
    return bench.run(bench.arguments("tpu_pod.sh", "--poll", "0", *more))


def deeds(bench: Bench) -> list[str]:
    """What was done, without looking and copying."""
    verbs = []
    for call in bench.calls("gcloud"):
        verb = call[4]
        if verb == "ssh":
            verb = "train" if "tpu_worker.sh train" in remote(call) else "install"
        if verb not in ("describe", "scp"):
            verbs.append(verb)
    return verbs


def test_a_slice_is_asked_for_waited_for_used_and_deleted(bench):
    cloud(bench, created="WAITING_FOR_RESOURCES PROVISIONING ACTIVE")
    done = pod(bench)
    assert done.returncode == 0, done
    assert deeds(bench) == ["create", "install", "train", "delete"]
    assert "bert is PROVISIONING" in done.stderr


def test_a_slice_that_is_there_already_is_used(bench):
    cloud(bench, now="ACTIVE\n")
    assert pod(bench, "--keep").returncode == 0
    assert deeds(bench) == ["install", "train"]


def test_the_bundle_is_enough_to_install_from(bench):
    cloud(bench)
    assert pod(bench).returncode == 0
    out = bench.path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xzf", bench.path / "bertjax-bert.tar.gz", "-C", out], check=True)
    for name in ("bertjax/cli/main.py", "requirements.lock", "scripts/launch/tpu_worker.sh"):
        assert (out / name).read_bytes() == (ROOT / name).read_bytes()
    project = tomllib.loads((out / "pyproject.toml").read_text())["project"]
    assert (out / project["readme"]).is_file() and not list(out.rglob("__pycache__"))


@pytest.mark.parametrize("state", ["SUSPENDING\\nSUSPENDED\\n", "SUSPENDED\\n", "FAILED\\n", ""])
def test_a_slice_taken_away_is_replaced_and_the_run_goes_on(bench, state):
    # The first time the slice goes and ssh does not notice; the second time all is well.
    gone = f'touch "$0.gone"; printf "{state}" >"$0.new"; mv "$0.new" "$states"; exec sleep 600'
    taken = f"[[ -e $0.gone ]] || {{ {gone}; }}"
    cloud(bench, train=taken)
    started = time.monotonic()
    done = pod(bench)
    assert done.returncode == 0 and time.monotonic() - started < 30, done
    again = ["create"] if state == "" else ["delete", "create"]
    cycle = ["install", "train"]
    assert deeds(bench) == ["create", *cycle, *again, *cycle, "delete"]
    assert f"bert is {state.partition(chr(92))[0] or 'ABSENT'}" in done.stderr


@pytest.mark.parametrize(
    ("codes", "trained", "code"),
    [([75, 76, 0], 3, 0), ([255, 137, 5, 0], 4, 0), *(([code], 1, code) for code in (1, 2, 3, 4))],
)
def test_what_training_on_a_slice_ended_with_decides(bench, codes, trained, code):
    cloud(bench, train=exits(*codes))
    done = pod(bench)
    assert done.returncode == code, done
    assert deeds(bench) == ["create", *["install", "train"] * trained, "delete"]


def test_restarts_of_a_slice_have_a_limit(bench):
    cloud(bench, train=exits(EXIT_PREEMPTED))
    assert pod(bench, "--max-restarts", "1").returncode == EXIT_PREEMPTED
    assert deeds(bench).count("train") == 2


def test_a_failed_installation_does_not_train(bench):
    cloud(bench, scp="exit 1")
    assert pod(bench).returncode == 1
    assert deeds(bench) == ["create", "delete"]


def test_a_refused_request_is_not_repeated(bench):
    cloud(bench, now="FAILED\n", created="FAILED")
    done = pod(bench)
    assert done.returncode == 1 and "Cloud TPU refused v5litepod-64 in us-west4-a" in done.stderr
    assert deeds(bench) == ["delete", "create"]


def test_an_account_that_cannot_look_is_told_why_and_not_for_ever(bench):
    bench.stand_in("gcloud", "echo 'ERROR: no project' >&2; exit 1")
    done = pod(bench)
    assert done.returncode == 2 and done.stderr.count("gcloud: ERROR: no project") == 10, done
    assert deeds(bench) == []


def test_leaving_says_what_goes_on_and_costs(bench):
    cloud(bench, train='touch "${0%/*}/ready"; exec sleep 600')
    assert bench.signalled(bench.arguments("tpu_pod.sh", "--poll", "1"), signal.SIGINT) == 130
    assert deeds(bench) == ["create", "install", "train"]


def test_a_host_ends_what_a_lost_connection_left_before_it_trains(bench):
    """Two starts on one host: the first gets SIGTERM and time to save, then the second begins."""
    launch = bench.path / "bertjax" / "scripts" / "launch"
    launch.mkdir(parents=True)
    worker = [shutil.copy(LAUNCH / "tpu_worker.sh", launch), "train"]
    bench.stand_in(
        "bertjax", SAVES_ON_SIGNALS.replace("code=;", "[[ -e $0.saved ]] && exit; code=;")
    )
    (bench.path / "bertjax" / "venv").mkdir()
    (bench.path / "bertjax" / "venv" / "bin").symlink_to(bench.bin)
    left = subprocess.Popen([*worker, "a=1"], env=bench.environment)
    while not (bench.bin / "ready").exists():
        assert left.poll() is None
        time.sleep(0.02)
    second = subprocess.Popen([*worker, "a=2"], env=bench.environment)
    assert left.wait(timeout=20) == EXIT_PREEMPTED  # reaped here, so that its end is seen there
    assert second.wait(timeout=20) == 0
    first, then = bench.calls("bertjax")
    assert first == ["bertjax", "pretrain", "--distributed", "a=1"] and then[-1] == "a=2"
    assert saved(bench) == f"{EXIT_PREEMPTED}\n"
