"""A fused directory: what was learned, and where the models lie that it was learned for.

config.json names each run by its path, from the root and from the directory, and each of its models
by a fingerprint of its weights. So the directory is small, may move together with its runs, and
never speaks for other models.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertjax import written
from bertjax.durable import write_json
from bertjax.errors import UserError
from bertjax.finetuning.material import Start
from bertjax.finetuning.saved import SavedRun, open_saved
from bertjax.fuse.voices import Fusion, Voice
from bertjax.fuse.ways import way_from
from bertjax.runs.kinds import Kind, describe, kind_of, require_kind

_LEARNED: dict[str, Any] = {  # by each way
    "average": {"weights": [written.NUMBER]},
    "weighted": {"weights": [written.NUMBER]},
    "vote": {"votes": int},
    "stack": {
        "mean": [written.NUMBER],
        "scale": [written.NUMBER],
        "weights": [[written.NUMBER]],
        "bias": [written.NULLABLE],
    },
}
_FORM = {
    "fusion": tuple(
        {
            "method": method,
            "learned": learned,
            "learned_on": written.TEXT,
            "null_threshold": written.NUMBER,
        }
        for method, learned in _LEARNED.items()
    ),
    "voices": [
        {
            "name": str,
            "run": str,
            "from_here": str,
            "models": [{"name": str, "fingerprint": str}],
        }
    ],
}


def fingerprints(voices: Sequence[Voice]) -> list[list[str]]:
    """Of the models of each voice.

    Raises:
        UserError: two models have the same weights.
    """
    found = [voice.fingerprints() for voice in voices]
    seen: dict[str, str] = {}
    for voice, prints in zip(voices, found, strict=True):
        for one in prints:
            if one in seen:
                raise UserError(
                    f"{voice.name} and {seen[one]} have the same weights, and one model counts "
                    "once: leave one of them out"
                )
            seen[one] = voice.name
    return found


def write(
    folder: Path,
    out: Path,
    method: str,
    fusion: Fusion,
    prints: Sequence[Sequence[str]],
    learned_on: str | None,
) -> None:
    """Write config.json into `folder`, which will be `out`.

    `prints` are the `fingerprints` of the voices; `learned_on` is the split that chose the way,
    None where nothing was learned.
    """
    voices = [
        {
            "name": voice.name,
            "run": str(voice.run.path),
            "from_here": os.path.relpath(voice.run.path, out.absolute()),
            "models": [
                {"name": member.name, "fingerprint": one}
                for member, one in zip(voice.members, found, strict=True)
            ],
        }
        for voice, found in zip(fusion.voices, prints, strict=True)
    ]
    content = {
        "fusion": {
            "method": method,
            "learned_on": learned_on,
            "null_threshold": fusion.null_threshold,
            "learned": fusion.way.content(),
        },
        "voices": voices,
    }
    write_json(folder / "config.json", content)


def open_fusion(path: Path, base: Start | None = None) -> Fusion:
    """The fusion of a directory; `base` as `open_saved` has it.

    Raises:
        UserError: it is none, or a run is not where it lay, or holds other models.
    """
    content = read(path)
    runs: dict[str, SavedRun] = {}
    voices = []
    for entry in content["voices"]:
        if entry["run"] not in runs:
            runs[entry["run"]] = open_saved(_place(path, entry), base)
        run = runs[entry["run"]]
        members = tuple(run.member(each["name"]) for each in entry["models"])
        voice = Voice(entry["name"], run, members)
        noted = [each["fingerprint"] for each in entry["models"]]
        if voice.fingerprints() != noted:
            raise UserError(
                f"{run.path} does not hold the weights of {voice.name} that {path} was made of: "
                "give them back, or fuse anew"
            )
        voices.append(voice)
    about = content["fusion"]
    way = way_from(about["method"], about["learned"])
    return Fusion(tuple(voices), way, about["null_threshold"])


def read(path: Path) -> dict[str, Any]:
    """The content of config.json; UserError if it is not that of a fusion."""
    require_kind("RUN", path, Kind.FUSION)
    content = written.read(path / "config.json", _FORM)
    if not _fits(content["fusion"]["learned"], len(content["voices"])):
        raise written.damaged(path / "config.json", "what was learned is not of its models")
    return content


def _fits(learned: Mapping[str, Any], voices: int) -> bool:
    """Whether arrays have the shapes that the models of a fusion need."""
    if "votes" in learned:
        return True
    if "bias" not in learned:
        return len(learned["weights"]) == voices
    features, classes = len(learned["mean"]), len(learned["bias"])
    rows = learned["weights"]
    return features == len(learned["scale"]) == len(rows) and {len(r) for r in rows} <= {classes}


def _place(path: Path, entry: dict[str, Any]) -> Path:
    places = [Path(entry["run"]), Path(os.path.normpath(path.absolute() / entry["from_here"]))]
    for place in places:
        if kind_of(place) is Kind.FINETUNING:
            return place
    raise UserError(
        f"{path} is a fusion of models in {places[0]}, which is {describe(places[0])}: put that "
        "run back, or fuse anew"
    )
