"""Teachers and students: a model labels rows, the next one learns from them too.

Round 0 learns from the labelled rows alone, as a run without `data.unlabelled` does, bit for bit.
Every further round labels all unlabelled rows anew, so an early mistake can be taken back. The
model of the run is that of the round with the best metric on dev.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax

from bertjax import model
from bertjax.durable import staged, write_json
from bertjax.finetuning.layout import Form
from bertjax.finetuning.lessons import Lesson, class_shares, prepare, target_shares, taught
from bertjax.finetuning.material import Encoded, Material
from bertjax.finetuning.member import Member, first_best, read_result
from bertjax.tasks.task import Rows, Scores

# Train a round's model on rows in batches of these forms, beginning with the parameters, or with
# those of the run: its result.
Fit = Callable[[Member, Encoded, Sequence[Form], model.Params | None], dict[str, Any]]


def train_by_rounds(
    material: Material,
    member: Member,
    fit: Fit,
    parameters: Callable[[Member], model.Params],
    predict: Callable[[model.Params, Rows], list[Scores]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Train all rounds of a model and keep the best; what is done is not done again.

    Args:
        material: of the run.
        member: the model of the run.
        fit: trains one round.
        parameters: those of the best epoch of a round.
        predict: scores of rows by parameters.
        say: prints a line.
    """
    transfer, metric = material.cfg.transfer, material.cfg.task.metric or material.task.metrics[0]
    train, dev = material.parts(member.fold)
    teacher, learnt, lesson = replace(member, round=0), train, None
    found = [_done(teacher, fit, train, material.training_forms, None)]
    history: list[dict[str, Any]] = [{"round": 0, "dev": found[0]["dev"]}]
    for number in range(1, transfer.rounds + 1):
        student, before = replace(member, round=number), lesson
        lesson = Lesson.read(student.directory, material)
        if lesson is None:
            params = parameters(teacher)
            scores = predict(params, material.encoded["unlabelled"].rows)
            if before is None:
                judged = (dev, predict(params, dev.rows) if transfer.shift == "bbse" else [])
                target = target_shares(material, train, scores, judged)
            else:
                target = before.about.get("target_shares", {})
            lesson = prepare(material, train, scores, class_shares(material, learnt), target)
            lesson.write(student.directory)
        reason = _nothing_new(lesson, before, transfer.student == "fresh")
        say(_described(student, lesson, reason))
        if reason:
            history.append({"round": number, "ended": reason, **lesson.about})
            break
        learnt = taught(material, train, lesson)
        begin = None
        if transfer.student == "continued":
            begin = jax.device_get(parameters(teacher))  # which lie on one device of several
        found.append(_done(student, fit, learnt, material.student_forms, begin))
        history.append({"round": number, "dev": found[-1]["dev"], **lesson.about})
        teacher = student
    scores = [result["dev"][metric] for result in found]
    best = first_best(scores) or 0
    say(f"{member.name} · round {best} is kept, {metric} {scores[best]:.4f} on dev")
    return _keep(member, found[best] | {"round": best, "rounds": history})


def _done(
    student: Member, fit: Fit, train: Encoded, forms: Sequence[Form], begin: model.Params | None
) -> dict[str, Any]:
    return read_result(student) or fit(student, train, forms, begin)


def _nothing_new(lesson: Lesson, before: Lesson | None, fresh: bool) -> str:
    """Why another round would change nothing; nothing where it would."""
    if not lesson.lines:
        return "no row is taken in"
    if fresh and before is not None and lesson.teaches_as(before):
        return "the same rows and labels as in the round before"
    return ""


def _described(student: Member, lesson: Lesson, reason: str) -> str:
    about = lesson.about
    shown = list(about["classes"].items())[:8]
    classes = ", ".join(f"{label} {entry['taken']:,}" for label, entry in shown)
    more = ", ..." if len(about["classes"]) > len(shown) else ""
    mass = f" · mass {about['mass_ratio']:.3g}" if "mass_ratio" in about else ""
    end = f" · {reason}: no further round" if reason else ""
    return (
        f"{student.name} · {about['taken']:,} of {about['of']:,} unlabelled rows taken in: "
        f"{classes}{more}{mass}{end}"
    )


def _keep(member: Member, result: dict[str, Any]) -> dict[str, Any]:
    """Make the best round's model that of the run; the other rounds leave what they said."""
    best = replace(member, round=result["round"])
    shutil.rmtree(member.best, ignore_errors=True)  # what a killed process may have put there
    with staged(member.best) as folder:
        shutil.copytree(best.best, folder, dirs_exist_ok=True)
    write_json(member.result, result)
    for number in range(len(result["rounds"])):
        shutil.rmtree(replace(member, round=number).best, ignore_errors=True)
    return result
