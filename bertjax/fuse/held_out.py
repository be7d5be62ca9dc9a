"""Labelled examples that no model was trained on, and what each voice says of them.

Whatever is learned of several models is learned here: from the rows of a file that no model saw, or
from training examples, each predicted by the models of folds that it was kept from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bertjax.errors import UserError
from bertjax.finetuning.same_run import examples_fingerprint, origin_of
from bertjax.finetuning.saved import SavedRun
from bertjax.finetuning.splits import Splits, folds, open_splits, text_key
from bertjax.fuse.voices import Voice, said_by
from bertjax.runs.directory import RunDirectory
from bertjax.tasks.task import Example, Scores

OUT_OF_FOLD = "out of fold"


@dataclass(frozen=True)
class HeldOut:
    """Examples, and what each voice says of them."""

    split: str  # the file, or OUT_OF_FOLD
    examples: list[Example]
    many: list[list[Scores]]  # one list a voice
    left_out: int = 0  # rows that a model was trained on
    notes: list[str] = field(default_factory=list)
    surely: bool = True  # whether what every model was trained on could be read again


def of_file(path: str, examples: Sequence[Example], voices: Sequence[Voice]) -> HeldOut:
    """The rows of a file but those with the texts of an example that a model was trained on.

    Raises:
        UserError: all of them are such rows.
    """
    notes, trained, chose, surely = [], set(), set(), True
    for run in _runs(voices):
        splits = _read_again(run)
        if isinstance(splits, str):
            surely = False
            notes.append(f"whether {run.path} was trained on rows of {path} is not known: {splits}")
            continue
        # A text that a teacher labelled was learnt too.
        trained |= set(map(text_key, [*splits.train, *splits.unlabelled]))
        chose |= set(map(text_key, splits.dev))
    kept = [example for example in examples if text_key(example) not in trained]
    if not kept:
        raise UserError(
            f"--data {path}: a model was trained on each of its {len(examples)} rows, so that they "
            "say nothing of new ones: give rows that no model was trained on; of runs of "
            "tune.folds leave --data out"
        )
    if count := sum(text_key(example) in chose for example in kept):
        notes.append(
            f"{count:,} of {len(kept):,} rows chose the best epoch of a model too, which flatters "
            "all scores here: report those of another file"
        )
    left = len(examples) - len(kept)
    if left:
        of = f"{left:,} of {len(examples):,} rows"
        notes.append(f"{of} are left out, as a model was trained on examples with their texts")
    return HeldOut(path, kept, said_by(voices, kept), left, notes, surely)


def out_of_fold(voices: Sequence[Voice]) -> HeldOut:
    """Every training example, said by the models of each voice that were not trained on it.

    Raises:
        UserError: a run has no folds, or was trained on other examples than the first, or the
            examples cannot be read any more.
    """
    for run in _runs(voices):
        if not run.cfg.tune.folds:
            raise UserError(
                f"{run.path} has no folds, so its models were trained on all of their examples: "
                "name rows that they were not trained on with --data"
            )
    first = voices[0].run
    splits = _read_again(first)
    if isinstance(splits, str):
        raise UserError(f"{first.path}: {splits}: give that file back, or name others with --data")
    trained = _trained_on(first)
    for run in _runs(voices):
        if _trained_on(run) != trained:
            raise UserError(
                f"{run.path} was trained on other examples than {first.path}: give runs of the "
                "same ones, or name rows that neither was trained on with --data"
            )
    many = [_unseen(voice, splits.train) for voice in voices]
    return HeldOut(OUT_OF_FOLD, splits.train, many)


def _unseen(voice: Voice, examples: list[Example]) -> list[Scores]:
    said: list[Scores] = [None] * len(examples)
    held_out = folds(examples, voice.run.cfg.tune.folds)
    for member in voice.members:
        assert member.fold is not None
        held = held_out[member.fold]
        (scores,) = voice.run.scores([member], [examples[i] for i in held])
        for i, score in zip(held, scores, strict=True):
            said[i] = score
    return said


def _runs(voices: Sequence[Voice]) -> list[SavedRun]:
    return list({voice.run.path: voice.run for voice in voices}.values())


def _trained_on(run: SavedRun) -> str | None:
    return origin_of(RunDirectory(run.path)).get("train examples")


def _read_again(run: SavedRun) -> Splits | str:
    """What a run was trained on and chosen by, or why that cannot be had any more."""
    data = replace(run.cfg.data, test="")
    try:
        splits = open_splits(replace(run.cfg, data=data))
    except UserError as error:
        return str(error)
    if examples_fingerprint(splits.train) != _trained_on(run):
        return f"{run.cfg.data.train} holds other examples now"
    return splits
