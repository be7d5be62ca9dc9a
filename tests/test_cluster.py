"""Processes join, meet, agree and end together, and whoever is lost is named."""

from __future__ import annotations

import random
import re
import signal

import pytest
from processes import HOST, finish_all, start_work, variables
from tiny_run import finish

from bertjax import cluster
from bertjax.cluster import EXIT_LOST_PROCESS
from bertjax.errors import EXIT_BAD_INPUT, UserError

# They wait for one another with limits of seconds, some of them not ours to set.
pytestmark = pytest.mark.alone

RESUMES = ": the same command in all processes goes on from the last checkpoint"


# Meeting.


def test_with_one_process_every_meeting_is_free():
    cluster.barrier("alone")
    assert cluster.gather("alone", "value") == ["value"]
    cluster.require_agreement({"field": "value"})


def test_gathered_values_come_in_order_and_each_meeting_has_its_own():
    work = """
turns = [cluster.gather("turn", f"{turn} of {me}") for turn in range(3)]
assert turns == [[f"{turn} of {i}" for i in range(3)] for turn in range(3)], turns
other = threading.Thread(target=cluster.barrier, args=("thread",))
other.start(); cluster.barrier("main"); other.join()
"""
    assert finish_all(start_work(work, variables(3)), 0) == [""] * 3


@pytest.mark.slow
def test_who_never_comes_to_a_barrier_is_named_to_all():
    work = "time.sleep(60) if me == 1 else cluster.barrier('meal')"
    said = finish_all(
        start_work(work, variables(3), BERTJAX_BARRIER_SECONDS="8"), EXIT_LOST_PROCESS
    )
    line = f"barrier 'meal': process 1 ({HOST}) did not come within 8 s: look at what it does, or"
    assert [text.count("\n") for text in said] == [1] * 3, said
    assert said[0].startswith(f"bertjax: {line}") and said[2].startswith(f"bertjax: {line}")
    assert re.match(rf"bertjax: process [02] \({HOST}\) stopped: {re.escape(line)}", said[1])


@pytest.mark.slow
def test_who_never_joins_leaves_the_others_with_one_line():
    told = variables(3)[:2]
    said = finish_all(start_work("", told, BERTJAX_BARRIER_SECONDS="6"), EXIT_LOST_PROCESS)
    for index, text in enumerate(said):
        assert text.startswith(f"bertjax: process {index} ({HOST}) waited 6 s"), text
        assert told[0]["JAX_COORDINATOR_ADDRESS"] in text and text.count("\n") == 1


def test_a_mistake_in_one_process_ends_all_with_its_line_and_code():
    work = "if me == 1: raise UserError('the tea is cold: boil it')\ntime.sleep(60)"
    said = finish_all(start_work(work, variables(3)), EXIT_BAD_INPUT)
    others = f"bertjax: process 1 ({HOST}) stopped: the tea is cold: boil it\n"
    assert said == [others, "bertjax: the tea is cold: boil it\n", others]


def test_a_bug_in_one_process_keeps_its_traceback_and_ends_all():
    work = "if me == 0: 1 / 0\ntime.sleep(60)"
    said = finish_all(start_work(work, variables(2)), 1)
    assert "Traceback" in said[0] and "ZeroDivisionError" in said[0]
    assert said[1] == f"bertjax: process 0 ({HOST}) stopped: ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize("differs", ["seed", "only here"])
def test_processes_that_do_not_agree_are_refused_with_both_values(differs):
    work = f"""
facts = {{"bertjax": "0.1", "seed": "1"}}
cluster.require_agreement(facts)
if me == 1: facts["{differs}"] = "2"
cluster.require_agreement(facts)
"""
    said = finish_all(start_work(work, variables(2)), EXIT_BAD_INPUT)
    first = "1" if differs == "seed" else "absent"
    line = f"{differs} is {first} in process 0 ({HOST}) and 2 in process 1 ({HOST}): start every"
    assert all(text.startswith(f"bertjax: {line}") and text.count("\n") == 1 for text in said)


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5"])
def test_limits_are_whole_seconds(monkeypatch, text):
    monkeypatch.setenv("BERTJAX_BARRIER_SECONDS", text)
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "2")
    monkeypatch.setenv("JAX_PROCESS_ID", "0")
    says = f"BERTJAX_BARRIER_SECONDS={text}: give whole seconds"
    with pytest.raises(UserError, match=says), cluster.joined():
        raise AssertionError("joined")


def slurm(index: int, job: int) -> dict[str, str]:
    names = ("JOB_ID", "STEP_NODELIST", "NTASKS", "PROCID", "LOCALID", "STEP_NUM_NODES")
    values = (job, "localhost", 2, index, index, 1)
    return {f"SLURM_{name}": str(value) for name, value in zip(names, values, strict=True)}


def open_mpi(index: int, job: int) -> dict[str, str]:
    world = {"SIZE": 2, "RANK": index, "LOCAL_RANK": index}
    uri = {"OMPI_MCA_orte_hnp_uri": f"{job << 12}.0;tcp://127.0.0.1:1"}
    return uri | {f"OMPI_COMM_WORLD_{name}": str(value) for name, value in world.items()}


@pytest.mark.parametrize("scheduler", [slurm, open_mpi])
def test_the_cluster_is_found_from_the_scheduler(scheduler):
    job = random.randrange(1, 4096)  # the coordinator's port follows from it
    work = "assert cluster.gather('me', str(me)) == ['0', '1']"
    finish_all(start_work(work, [scheduler(index, job) for index in range(2)]), 0)


# Dying.


@pytest.mark.slow
@pytest.mark.parametrize(
    "busy",
    [
        "time.sleep(100)",
        "cluster.barrier('meal')",
        "while True: multihost_utils.process_allgather(np.int32(me))",
    ],
    ids=["computing", "at a barrier", "in a collective"],
)
def test_a_killed_process_is_named_to_all_and_ends_them(busy):
    """The survivors' time is the silence that is allowed and a little."""
    work = f"""
import numpy as np
from jax.experimental import multihost_utils
cluster.barrier('ready')
if me == 2: os.kill(os.getpid(), signal.SIGKILL)
{busy}
"""
    codes = (EXIT_LOST_PROCESS, EXIT_LOST_PROCESS, -signal.SIGKILL)
    said = finish_all(start_work(work, variables(3), BERTJAX_LOST_SECONDS="4"), *codes)
    line = f"bertjax: process 2 ({HOST}) died: no sign of life for 4 s{RESUMES}\n"
    assert said == [line, line, ""]


@pytest.mark.slow
def test_a_process_that_hangs_is_as_good_as_dead():
    work = "if me == 1: os.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(100)"
    first, second = start_work(work, variables(2), BERTJAX_LOST_SECONDS="4")
    assert "process 1" in finish(first, EXIT_LOST_PROCESS)
    second.kill()
    second.communicate()


@pytest.mark.slow
def test_the_first_process_that_hangs_is_named_by_the_others():
    # Once all have come to a barrier they know each other's hosts.
    work = "cluster.barrier('ready')\nif me == 0: os.kill(os.getpid(), signal.SIGSTOP)\n"
    work += "time.sleep(100)"
    first, second = start_work(work, variables(2), BERTJAX_LOST_SECONDS="4")
    said = finish(second, EXIT_LOST_PROCESS)
    assert said == f"bertjax: process 0 ({HOST}) died: no answer for 4 s{RESUMES}\n"
    first.kill()
    first.communicate()


@pytest.mark.slow
def test_the_first_process_killed_ends_the_others():
    """JAX's own abort may come before our line: the coordination service has died with it."""
    work = "if me == 0: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(100)"
    first, second = start_work(work, variables(2))
    _, said = second.communicate(timeout=30)
    first.communicate()
    assert second.returncode in (EXIT_LOST_PROCESS, -signal.SIGABRT)
    assert f"process 0 ({HOST}) died" in said or "leader task was preempted/died" in said
