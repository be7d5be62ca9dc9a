"""An adaptation from top to bottom: begun or gone on with, trained, measured again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from bertjax.adapt import text as domain_text
from bertjax.adapt.begin import REPLAY, TEXT, DomainText, Start, begin, corpora
from bertjax.adapt.measure import Measured, by_corpus, pairs_accuracy, table
from bertjax.adapt.recipe import check_typed
from bertjax.adapt.record import Record, read
from bertjax.config import AdaptConfig, PretrainConfig
from bertjax.data.corpus import describe_corpus
from bertjax.errors import UserError
from bertjax.objectives.choice import objective_of
from bertjax.overrides import apply_overrides
from bertjax.pretrained import open_imported, open_language_model, run_config
from bertjax.runs.outcome import Run, Stop, never
from bertjax.terminal import SILENT, Terminal
from bertjax.train.loop import pretrain


def adapt(
    workdir: Path,
    start: Start | None,
    text: DomainText | None,
    items: Sequence[str] = (),
    *,
    command: Sequence[str] = (),
    stop: Stop = never,
    terminal: Terminal = SILENT,
) -> Run:
    """Train a model on with the text of a domain, or go on with that in `workdir`.

    Args:
        workdir: the run's directory; adapted on if it holds an adaptation.
        start: the model to begin with; what goes on needs none.
        text: of the domain, likewise.
        items: `field=value`, of `AdaptConfig` and of the run.
        command: what was typed, for command.txt.
        stop: asked after each step whether to save and end.
        terminal: where progress and the table at the end are shown.

    Returns:
        The run. `adaptation.json` in its directory has what was gained and what was forgotten.

    Raises:
        UserError: bad options or text, or another adaptation in `workdir`.
    """
    typed, of_run = split_fields(items)
    check_typed(of_run)
    record = read(workdir)
    if record is None:
        if start is None or text is None:
            missing = " and ".join(
                name for name, value in (("--init", start), ("--text", text)) if value is None
            )
            raise UserError(
                f"{missing} is missing, and {workdir} is no adaptation that could go on: give a "
                "model as --init and the text of the domain as --text"
            )
        begin(workdir, apply_overrides(AdaptConfig(), typed), start, text, of_run, terminal)
        record = read(workdir)
        assert record is not None
        cfg = record.cfg
    else:
        cfg = record.going_on(workdir, typed, _given_again(typed, start, text))
    before = run_config(workdir)
    before = replace(before, data=replace(before.data, **corpora(cfg, workdir)))
    done = pretrain(
        apply_overrides(before, of_run),
        workdir,
        start_from=open_imported(workdir),
        command=command,
        stop=stop,
        terminal=terminal,
    )
    if not done.stopped:
        _finish(workdir, record, cfg, terminal)
    return done


def split_fields(items: Sequence[str]) -> tuple[list[str], list[str]]:
    """What was typed of an `AdaptConfig`, and of the run."""
    own = {field.name for field in fields(AdaptConfig)}
    typed = [item for item in items if item.partition(".")[0] in own]
    return typed, [item for item in items if item not in typed]


def _given_again(
    typed: Sequence[str], start: Start | None, text: DomainText | None
) -> dict[str, str]:
    """The fingerprints of what an adaptation that goes on was given again."""
    again = dict(start.origin) if start else {}
    if text is not None:
        again[TEXT] = domain_text.fingerprint(text.sources, text.account.skip)
    if replay := apply_overrides(AdaptConfig(), typed).replay.corpus:
        again[REPLAY] = describe_corpus(replay)["identity"]
    return again


def _finish(workdir: Path, record: Record, cfg: AdaptConfig, terminal: Terminal) -> None:
    """Measure what the run came to, keep it and show it."""
    found, tokenizer = open_language_model(workdir, "--workdir")
    run: PretrainConfig = run_config(workdir)
    loss = objective_of(run, tokenizer.special, tokenizer.vocab_size).selects
    after = Measured(
        by_corpus(run, found.meta.get("evaluation", {}), loss),
        pairs_accuracy(cfg.probes.pairs, found.cfg, found.params, tokenizer),
    )
    record = replace(record, after=after)
    record.save(workdir)
    for line in table(record.before, after, same_pieces=not record.words):
        terminal.say(line)
