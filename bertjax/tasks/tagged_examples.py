"""Sentences and their tags, in the scheme that a model learns."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from bertjax.config import FinetuneConfig
from bertjax.tasks.conll import Sentence
from bertjax.tasks.label_doubts import note_alike
from bertjax.tasks.label_values import visible
from bertjax.tasks.tables import row_account
from bertjax.tasks.tag_schemes import problem, spans, spelling_of, split, tags_of
from bertjax.tasks.tagged_files import read_sentences
from bertjax.tasks.task import Example
from bertjax.text.account import Account, Problem


def read(
    path: str, cfg: FinetuneConfig, labelled: bool = True, account: Account | None = None
) -> tuple[list[Example], int]:
    """Sentences with their tags in `task.train_scheme`, and how many bad ones were left out.

    Raises:
        UserError: the file cannot be read, or a sentence is bad (its line says where) and is not
            to be skipped.
    """
    account = account or row_account(cfg.data)
    account.hint = (
        ": correct the file, set data.layout, data.text, data.label or task.scheme to what it "
        "holds, or leave such sentences out with data.skip_bad_rows=true"
    )
    learnt = cfg.task.learnt_scheme
    scheme = cfg.task.standard_scheme
    kept: list[tuple[Sentence, tuple[str, ...] | None]] = []
    seen: set[str] = set()  # tags as the file spells them
    spelt = lru_cache(visible)  # there are few
    for sentence in read_sentences(path, cfg, labelled, account):
        wrong, tags = sentence.problem, sentence.tags
        if tags is not None:
            tags = tuple(map(spelt, tags))
        if not wrong and tags is not None:
            wrong = _problem(sentence, tags, scheme, learnt)
        if wrong:
            account.leave(sentence.place, wrong)
            continue
        if tags is not None and scheme != "none":  # also into the scheme's standard spelling
            seen.update(tags)
            tags = tuple(tags_of(spans(tags), len(tags), learnt))
        kept.append((sentence, tags))
    letters = (spelling_of(seen),) if scheme == "IOBES" else ()
    if labelled and kept:
        kinds = Counter(_said(tag, scheme) for _, tags in kept for tag in tags or ())
        note_alike(kept[0][0].place.rpartition(":")[0], "types of tags", kinds, account)
    examples = [Example(s.place, s.id, s.words, tags, letters, s.source) for s, tags in kept]
    return examples, account.count


def _said(tag: str, scheme: str) -> str:
    """What a tag says: its type, where it has one."""
    return tag if scheme == "none" else split(tag)[1]


def _problem(sentence: Sentence, tags: tuple[str, ...], scheme: str, learnt: str) -> Problem | None:
    """What is wrong with a sentence's tags, if anything is."""
    path = sentence.place.rpartition(":")[0]
    found = problem(tags, scheme)
    if found is not None:
        place = f"{path}:{sentence.lines[found[0]]}"
        return Problem("bad tags", f"{found[1]}, which {scheme} does not allow", place)
    if learnt == "IO" and spans(tags_of(spans(tags), len(tags), "IO")) != spans(tags):
        return Problem(
            "bad tags",
            "neighbouring entities of one type, which task.train_scheme=IO would join",
        )
    return None
