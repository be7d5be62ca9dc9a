"""The directory of an adaptation before its first step: corpora, grown weights, what was before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertjax.adapt.grow import with_rows
from bertjax.adapt.measure import Measured, held_out, pairs_accuracy
from bertjax.adapt.recipe import recipe, settled
from bertjax.adapt.record import Record
from bertjax.adapt.text import choose_words, read
from bertjax.checkpoint import CheckpointStore
from bertjax.config import AdaptConfig, NewWordsConfig, PretrainConfig, WeightedCorpus
from bertjax.data.build import BuildSettings, Progress, build_corpus
from bertjax.data.corpus import describe_corpus, many_unknown
from bertjax.data.new_pieces import with_new_pieces
from bertjax.durable import check_place, replace_file, staged
from bertjax.errors import UserError
from bertjax.model import Params
from bertjax.overrides import to_json
from bertjax.pretrained import Pretrained, open_language_model, run_config
from bertjax.runs.directory import RunDirectory, open_run
from bertjax.runs.kinds import Kind, describe, kind_of
from bertjax.runs.same_run import fingerprint
from bertjax.terminal import Terminal
from bertjax.text.account import Account
from bertjax.text.new_words import NewWord
from bertjax.text.sources import Source
from bertjax.text.tokenizer import Tokenizer

DOMAIN_FOLDER = "corpora/domain"  # the last part names its losses
_UNKNOWN = ("unknown", "tokens")  # counts of a split
TEXT, REPLAY = "--text", "replay.corpus"  # in `Record.origin`


@dataclass(frozen=True)
class DomainText:
    """The text of a domain and how it becomes a corpus."""

    sources: Sequence[Source]
    settings: BuildSettings
    account: Account
    workers: int = 1
    report: Callable[[Progress], None] = lambda progress: None


@dataclass(frozen=True)
class Start:
    """The model that is adapted."""

    found: Pretrained
    tokenizer: Tokenizer
    before: PretrainConfig | None  # of a run of ours

    @property
    def origin(self) -> dict[str, str]:
        """Its fingerprints, by what a person calls them."""
        return {
            "weights (--init)": fingerprint(self.found.params),
            "tokenizer (--init)": self.tokenizer.fingerprint,
        }


def open_start(init: Path) -> Start:
    """Open what `--init` names; UserError for what has no language model to go on with."""
    before = run_config(init) if kind_of(init) is Kind.PRETRAINING else None
    if before is not None and before.generator is not None:
        raise UserError(
            f"--init {init} detects replaced tokens beside a generator, whose weights `adapt` does "
            "not take along: continue it with `bertjax pretrain --init`"
        )
    return Start(*open_language_model(init, "--init"), before)


def begin(
    workdir: Path,
    cfg: AdaptConfig,
    start: Start,
    text: DomainText,
    typed: Sequence[str],
    terminal: Terminal,
) -> None:
    """Make `workdir`, whole or not at all: a run that has not begun.

    Args:
        workdir: where nothing is yet.
        cfg: the adaptation.
        start: the model.
        text: of the domain.
        typed: fields of the run.
        terminal: where progress is shown.

    Raises:
        UserError: bad text, a corpus of other pieces, or a tokenizer that takes no words.
    """
    if workdir.exists() and not (workdir.is_dir() and not any(workdir.iterdir())):
        raise UserError(
            f"--workdir {workdir} is {describe(workdir)}, not a run of `bertjax adapt`: choose a "
            "new or empty directory"
        )
    check_place(workdir)
    found, tokenizer, origin = start.found, start.tokenizer, start.origin
    places = corpora(cfg, workdir)  # refused here, if two have one name
    if cfg.replay.corpus:
        found.check_corpus(Path(cfg.replay.corpus))
        origin[REPLAY] = describe_corpus(cfg.replay.corpus)["identity"]
    add = cfg.vocabulary.add
    origin[TEXT], counts = read(text.sources, text.account.skip, tokenizer if add else None)
    words = choose_words(tokenizer, counts, add)
    grown = tokenizer.with_words([word.piece for word in words]) if words else tokenizer
    architecture, params = with_rows(
        found.cfg, found.params, tokenizer.vocab_size, [word.old for word in words]
    )
    with staged(workdir, terminal.say) as stage, open_run(stage, Kind.PRETRAINING) as run:
        content = _build(stage / DOMAIN_FOLDER, grown, text)
        _check_known(content, grown, text.account)
        for line in _said(content, words, text.account):
            terminal.say(line)
        if cfg.replay.corpus and words:
            terminal.progress(f"giving {cfg.replay.corpus} the new words")
            runs = {word.old: tokenizer.vocab_size + i for i, word in enumerate(words)}
            with_new_pieces(Path(cfg.replay.corpus), _rewritten(cfg, stage), grown, runs)
        mine = recipe(architecture, start.before)
        here = replace(mine, data=replace(mine.data, **corpora(cfg, stage)))
        tokens = content["splits"]["train"]["tokens"]
        there = settled(replace(here, data=replace(mine.data, **places)), typed, tokens)
        here = settled(here, typed, tokens)
        terminal.progress("measuring the model as it is")
        with _old_pieces(here, cfg, start, stage, text) if words else nullcontext(here) as run_cfg:
            losses = held_out(run_cfg, found.params)
        pairs = pairs_accuracy(cfg.probes.pairs, found.cfg, found.params, tokenizer)
        _write(run, there, params, grown)
        record = Record(cfg, found.source, origin, words, Measured(losses, pairs))
        record.save(stage)


def corpora(cfg: AdaptConfig, root: Path) -> dict[str, Any]:
    """The fields of `DataConfig` that say where the corpora of the adaptation in `root` are."""
    domain, general = str(root / DOMAIN_FOLDER), cfg.replay.corpus
    if not general:
        return {"corpus": domain, "corpora": ()}
    if cfg.vocabulary.add:
        general = str(_rewritten(cfg, root))
    weights = (round(1 - cfg.replay.weight, 9), cfg.replay.weight)
    both = tuple(map(WeightedCorpus, (domain, general), weights))
    return {"corpus": "", "corpora": both}


def _rewritten(cfg: AdaptConfig, root: Path) -> Path:
    """Where the general corpus with new words is: under the name that it has."""
    return root / "corpora" / Path(cfg.replay.corpus).name


def _build(out: Path, tokenizer: Tokenizer, text: DomainText) -> dict[str, Any]:
    """Build the corpus of the domain; returns its manifest."""
    return build_corpus(
        list(text.sources),
        out,
        tokenizer,
        text.settings,
        text.workers,
        text.report,
        account=text.account,
    )


def _check_known(content: dict[str, Any], tokenizer: Tokenizer, account: Account) -> None:
    """Note tokens that are [UNK]; raise UserError where most are, which teach nothing."""
    unknown, tokens = (sum(split[n] for split in content["splits"].values()) for n in _UNKNOWN)
    if not (note := many_unknown(unknown, tokens, "begin with a model of this language")):
        return
    if unknown * 2 > tokens:
        raise UserError(f"--text: {note}")
    account.note(note)


def _said(content: dict[str, Any], words: Sequence[NewWord], account: Account) -> list[str]:
    """What a person should know of the text, a line each."""
    names = ("documents", "words", "tokens")
    total = {name: sum(split[name] for split in content["splits"].values()) for name in names}
    lines = [f"{name:<6} {rest}" for name, rest in account.lines()]
    each = total["tokens"] / total["words"]
    lines.append(
        f"text   {total['documents']:,} documents, {total['tokens']:,} tokens, {each:.3f} a word"
    )
    if words:
        without = each + sum(word.saved for word in words) / total["words"]
        first = ", ".join(word.piece.strip("Ġ") for word in words[:6])
        lines.append(
            f"words  {len(words):,} new pieces ({first}, ...), without them {without:.3f} a word"
        )
    return lines


@contextmanager
def _old_pieces(
    run: PretrainConfig, cfg: AdaptConfig, start: Start, stage: Path, text: DomainText
) -> Iterator[PretrainConfig]:
    """The run with the pieces that the model has now, for as long as it is measured."""
    root = stage / "before"
    account = Account(text.account.skip, text.account.hint)  # that of the new pieces counts
    _build(root / DOMAIN_FOLDER, start.tokenizer, replace(text, account=account))
    unchanged = replace(cfg, vocabulary=NewWordsConfig())
    vocabulary = start.found.cfg.vocab_size
    yield replace(
        run,
        model=replace(run.model, vocab_size=vocabulary),
        data=replace(run.data, **corpora(unchanged, root)),
    )
    shutil.rmtree(root)


def _write(run: RunDirectory, cfg: PretrainConfig, params: Params, tokenizer: Tokenizer) -> None:
    """Write what a run is before its first step, as `bertjax import` does."""
    replace_file(run.config, to_json(cfg).encode())
    tokenizer.save(run.tokenizer, cfg.model.max_positions)
    store = CheckpointStore(run.initial, keep=1)
    store.save(0, {"params": params}, {"tokenizer": tokenizer.fingerprint})
    store.wait()
