"""`adaptation.json` of a run: what it was adapted from, its new words, what was gained and lost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertjax import written
from bertjax.adapt import measure
from bertjax.adapt.measure import Measured
from bertjax.config import AdaptConfig
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.overrides import apply_overrides, describe_difference, from_json
from bertjax.text.new_words import NewWord

NAME = "adaptation.json"
_FORM = {
    "cfg": dict,
    "started_from": str,
    "origin": {str: str},
    "words": [{"piece": str, "times": int, "old": [int]}],
    "before": measure.FORM,
    "after": (measure.FORM, None),
}


@dataclass(frozen=True)
class Record:
    """An adaptation that has begun."""

    cfg: AdaptConfig
    started_from: str  # for people
    origin: Mapping[str, str]  # what a person calls a thing -> its fingerprint
    words: Sequence[NewWord]
    before: Measured
    after: Measured | None = None

    def save(self, directory: Path) -> None:
        """Write the file."""
        content = dataclasses.asdict(replace(self, words=()))
        words = [{"piece": w.piece, "times": w.times, "old": list(w.old)} for w in self.words]
        write_json(directory / NAME, content | {"words": words})

    def going_on(
        self, workdir: Path, typed: Sequence[str], origin: Mapping[str, str]
    ) -> AdaptConfig:
        """The options with which it goes on: its own, and where the general corpus is now.

        `origin` has the fingerprints of what was given again.

        Raises:
            UserError: one line with the options or the things that are not those it began with.
        """
        now = apply_overrides(self.cfg, typed)
        moved = replace(now.replay, corpus=self.cfg.replay.corpus)
        if changes := describe_difference(self.cfg, replace(now, replay=moved)):
            raise UserError(
                f"{workdir} was begun with other options ({'; '.join(changes)}): use the same to "
                "go on, or another --workdir"
            )
        name, was = (Path(cfg.replay.corpus).name for cfg in (now, self.cfg))
        if name != was:  # its losses are written down by this name
            raise UserError(
                f"replay.corpus={now.replay.corpus} is called {name}, and {workdir} knows the same "
                f"corpus as {was}: give its directory that name to go on"
            )
        if changed := [name for name, value in origin.items() if self.origin.get(name) != value]:
            raise UserError(
                f"{workdir} was begun with other {', '.join(changed)}: give those back to go on, "
                "or another --workdir"
            )
        return now


def read(workdir: Path) -> Record | None:
    """The record of the run in `workdir`; None where no adaptation is."""
    path = workdir / NAME
    if not path.is_file():
        return None
    content = written.read(path, _FORM)
    after = content["after"]
    try:
        cfg = from_json(AdaptConfig, json.dumps(content["cfg"]))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return Record(
        cfg,
        content["started_from"],
        content["origin"],
        [NewWord(w["piece"], w["times"], tuple(w["old"])) for w in content["words"]],
        measure.from_json(content["before"]),
        measure.from_json(after) if after else None,
    )
