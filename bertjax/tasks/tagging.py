"""Token tagging: a tag for every word, and the entities that tags spell.

A word is what the file says it is: a token, or a character of Chinese. It is cut into pieces by
itself, as the word after a space (`Tokenizer.for_words`), and its first piece stands for it (Devlin
et al. 2019, section 5.3), but for one that is the mark of the space alone. The rows are those of
transformers' `is_split_into_words=True`, so a word that has no piece, such as a lone zero-width
space, is not in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bertjax.config import FinetuneConfig
from bertjax.config.finetune import IOBES_SPELLINGS
from bertjax.errors import UserError
from bertjax.tasks.encode import truncate
from bertjax.tasks.labels import label_id
from bertjax.tasks.tag_schemes import (
    OUTSIDE,
    all_tags,
    allowed_transitions,
    is_tag,
    not_told,
    respelt,
    spans,
    split,
    tags_of,
)
from bertjax.tasks.tag_scores import score_tags, tag_metrics
from bertjax.tasks.task import Example, Prediction, Rows, label_of
from bertjax.tasks.word_text import text_of_words
from bertjax.text.tokenizer import Tokenizer

_FORBIDDEN = -1e9


class WordScores(NamedTuple):
    """What is said of the words of an example."""

    probabilities: np.ndarray  # float64 [W, C]
    path: np.ndarray | None  # int64 [W], the best tags of a CRF


def label_names(
    examples: Sequence[Example], named: tuple[str, ...] = (), scheme: str = "none"
) -> tuple[str, ...]:
    """The tags in order of their ids: with a scheme all it has for the types seen, O first."""
    if named:
        return named
    seen = Counter(tag for example in examples for tag in example.label)
    if len(seen) == 1:
        raise UserError(
            f"{examples[0].place}: all words of the {len(examples)} sentences have the tag "
            f"{next(iter(seen))!r}, which leaves nothing to learn: check data.label"
        )
    if scheme == "none":
        return tuple(sorted(seen))
    return all_tags(sorted({split(tag)[1] for tag in seen if tag != OUTSIDE}), scheme)


class Tagging:
    """A tag for every word; scores are `WordScores`."""

    def __init__(self, cfg: FinetuneConfig, labels: tuple[str, ...]):
        self.data = cfg.data
        self.labels = labels
        self.scheme = cfg.task.learnt_scheme
        self.files = cfg.task  # whose scheme is that of the files
        self.has_rules = cfg.head.crf and self.scheme != "none"  # which the head obeys
        self.metrics = tag_metrics(self.scheme)
        self._ids = {label: i for i, label in enumerate(labels)}
        for tag in labels if self.scheme != "none" else ():
            if not is_tag(tag, self.scheme) or OUTSIDE not in labels:
                raise UserError(
                    f"task.labels={list(labels)[:6]} are not tags of {self.scheme}: give O and a "
                    "letter with every type, or leave them to the training file"
                )

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer) -> Rows:
        """Rows with `word_positions` and, for labelled examples, `tags`, int32 ids.

        A long sentence is truncated by `data.truncation`; words that lose their first piece are
        predicted to be outside any entity, or as plain tags not at all, which is scored as wrong.
        `tail` and `middle` cut at words. With `data.window_step` a sentence becomes several rows.

        To a CRF a row is a sentence. Words whose tag would break the rules of the scheme there,
        because the row cuts their entity, have −1, which is any tag (`tag_schemes.not_told`).
        """
        flat = [word for example in examples for word in example.texts]
        pieces = iter(tokenizer.encode_batch(flat, parse_special=True))
        budget = self.data.max_length - tokenizer.framing.special_tokens(1)
        labelled = all(example.label is not None for example in examples)
        rows, owners = Rows([], [], np.zeros(0, np.int64)), []
        rows.ragged = {"word_positions": [], **({"tags": []} if labelled else {})}
        for i, example in enumerate(examples):
            words = [next(pieces) for _ in example.texts]
            ids = self._tag_ids(example) if labelled else None
            whole = sum(map(len, words))
            present = np.flatnonzero([len(word) > 0 for word in words])
            sizes = np.array([min(len(words[w]), budget) for w in present], np.int64)
            held = np.zeros(len(present), bool)
            for places in self._rows_of(sizes, budget):
                chosen = present[places]
                row = [p for w in chosen for p in words[w][:budget]][:budget]
                tokens, types = tokenizer.framing.row(row)
                heads = _heads(sizes[places], tokenizer.white[np.array(row, np.int64)])
                rows.tokens.append(tokens)
                rows.token_types.append(types)
                rows.ragged["word_positions"].append(1 + heads.astype(np.int32))
                if ids is not None:
                    free = np.zeros(len(chosen), bool)
                    if self.has_rules and len(chosen) < len(words):
                        told = [tag or OUTSIDE for tag in example.label]
                        free[:] = not_told(told, chosen.tolist(), self.scheme)
                    rows.ragged["tags"].append(np.where(free, -1, ids[chosen]).astype(np.int32))
                rows.details.append((chosen, len(words)))
                owners.append(i)
                held[places] = True
            left = int(sizes[held].sum())
            lost = whole - (left if self.data.window_step else min(left, budget))
            rows.cut_tokens += lost
            rows.cut_examples += lost > 0
        rows.examples = np.array(owners, np.int64)
        return rows

    def _rows_of(self, sizes: np.ndarray, budget: int) -> list[np.ndarray]:
        """The words of each row; only the last one of `head` may have more pieces than fit."""
        ends = np.cumsum(sizes)
        if sizes.sum() <= budget:
            return [np.arange(len(sizes))]
        if not self.data.window_step:
            if self.data.truncation == "head":
                return [np.flatnonzero(ends - sizes < budget)]
            pieces = truncate(int(ends[-1]), budget, self.data.truncation)
            stay = np.add.reduceat(np.isin(np.arange(ends[-1]), pieces), ends - sizes)
            kept = np.flatnonzero(stay == sizes)
            return [kept if len(kept) else np.arange(1)]  # both ends may cut a long word
        rows, start = [], 0
        while True:
            before = ends[start] - sizes[start]
            end = int(np.searchsorted(ends, before + budget, side="right"))
            rows.append(np.arange(start, end))
            if end == len(sizes):
                return rows
            step = int(np.searchsorted(ends - sizes, before + self.data.window_step, side="right"))
            start = min(max(start + 1, step - 1), end)

    def merge(self, rows: Rows, outputs: Sequence[dict[str, np.ndarray]]) -> list[WordScores]:
        """Of each word, what the row says in which it has most context.

        Paths are not patched up: those of a parted sentence are made anew from all its words.
        """
        scores: list[WordScores] = []
        best: list[np.ndarray] = []
        parted: set[int] = set()  # examples of several rows, or without their middle
        for owner, (words, total), output in zip(rows.examples, rows.details, outputs, strict=True):
            gaps = len(words) > 0 and words[-1] - words[0] >= len(words)
            if owner < len(scores) or gaps:
                parted.add(owner)
            if owner == len(scores):
                unsaid = np.zeros((total, len(self.labels)))
                if OUTSIDE in self._ids:
                    unsaid[:, self._ids[OUTSIDE]] = 1.0
                path = unsaid.argmax(1) if "path" in output else None
                scores.append(WordScores(unsaid, path))
                best.append(np.full(total, -1.0))
            place = np.arange(len(words))
            context = np.minimum(place, len(words) - 1 - place) + 0.01 * len(words)
            better = context > best[owner][words]
            taken = words[better]
            best[owner][taken] = context[better]
            scores[owner].probabilities[taken] = output["probabilities"][better]
            if scores[owner].path is not None:
                scores[owner].path[taken] = output["path"][better]
        for owner in parted:
            if scores[owner].path is not None:
                marginals = scores[owner].probabilities
                scores[owner] = WordScores(marginals, self._best_path(marginals))
        return scores

    def combine(
        self, many: Sequence[Sequence[WordScores]], weights: Sequence[float]
    ) -> list[WordScores]:
        """The weighted mean of each word's probabilities.

        Of several CRFs, these are their marginals, and the path is the best of it that the scheme
        allows; one model's path is its own.
        """
        if len(many) == 1:
            return list(many[0])
        return [
            self.joined(v, np.average([one.probabilities for one in v], axis=0, weights=weights))
            for v in zip(*many, strict=True)
        ]

    def joined(self, versions: Sequence[WordScores], probabilities: np.ndarray) -> WordScores:
        """`probabilities` made from `versions`, with a path where each of those has one."""
        paths = all(version.path is not None for version in versions)
        return WordScores(probabilities, self._best_path(probabilities) if paths else None)

    def _best_path(self, probabilities: np.ndarray) -> np.ndarray:
        """Viterbi over log-probabilities and what the scheme forbids."""
        start, transition, end = (
            np.where(allowed, 0.0, _FORBIDDEN)
            for allowed in allowed_transitions(self.labels, self.scheme)
        )
        emissions = np.log(np.maximum(probabilities, 1e-30))
        score, back = start + emissions[0], []
        for emission in emissions[1:]:
            steps = score[:, None] + transition
            back.append(steps.argmax(0))
            score = steps.max(0) + emission
        path = [int(np.argmax(score + end))]
        for pointers in reversed(back):
            path.append(int(pointers[path[-1]]))
        return np.array(path[::-1])

    def predict(
        self, examples: Sequence[Example], scores: Sequence[WordScores]
    ) -> list[Prediction]:
        """The words with their tags, and the entities: type, words [start, end) and text.

        Tags are in the scheme of the files; a tag that breaks the one that is learnt is seen only
        where both are the same.
        """
        predictions = []
        for example, tags in zip(examples, self.tags(scores), strict=True):
            found: dict[str, Any] = {
                "id": example.id,
                "tokens": list(example.texts),
                **label_of(self._as_in_files(example.label)),
                "prediction": self._as_in_files(tags),
            }
            if self.scheme != "none":
                entities = spans([tag or OUTSIDE for tag in tags])
                texts = text_of_words(example.texts, example.source, entities)
                found["entities"] = [
                    {"type": kind, "start": start, "end": end, "text": text}
                    for (start, end, kind), text in zip(entities, texts, strict=True)
                ]
            predictions.append(found)
        return predictions

    def _as_in_files(self, tags: Sequence[str | None] | None) -> Sequence[str | None] | None:
        """Tags of the scheme that is learnt in the one of the files."""
        files = self.files
        if tags is None or files.scheme == self.scheme:
            return tags
        said = [tag or OUTSIDE for tag in tags]
        if files.standard_scheme != self.scheme:
            said = tags_of(spans(said), len(tags), files.standard_scheme)
        is_spelt = files.scheme in IOBES_SPELLINGS
        return [respelt(tag, files.scheme) for tag in said] if is_spelt else said

    def score(self, examples: Sequence[Example], scores: Sequence[WordScores]) -> dict[str, Any]:
        """See `score_tags`. Raises UserError for a tag that was not learnt."""
        for example in examples:
            self._tag_ids(example)
        truth = [example.label for example in examples]
        return score_tags(truth, self.tags(scores), self.labels, self.scheme)

    def tags(self, scores: Sequence[WordScores]) -> list[list[str | None]]:
        """The likeliest tags; None for a word that was cut off where no tag means "none"."""
        found: list[list[str | None]] = []
        for score in scores:
            ids = score.probabilities.argmax(1) if score.path is None else score.path
            said = np.any(score.probabilities, axis=1).tolist()
            pairs = zip(ids.tolist(), said, strict=True)
            found.append([self.labels[i] if s else None for i, s in pairs])
        return found

    def _tag_ids(self, example: Example) -> np.ndarray:
        """int32 [W]; −1 for a word whose tag is None: not told, and in the loss any."""
        ids = [-1 if tag is None else label_id(tag, self._ids, example) for tag in example.label]
        return np.array(ids, np.int32)


def _heads(sizes: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Which pieces of a row stand for its words: the first that is more than a space, if one is.

    `sizes` [W] are the words' pieces, of which the row may have lost the last; `white` bool [n].
    """
    ends = np.minimum(np.cumsum(sizes), len(white))
    starts = np.cumsum(sizes) - sizes
    solid = np.append(np.flatnonzero(~white), len(white))
    found = solid[np.searchsorted(solid, starts)]
    return np.where(found < ends, found, starts)
