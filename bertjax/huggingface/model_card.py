"""`README.md` of an export: where the model came from and how good it is.

A card is made to be published, so strings that come from a run lose directories and host names.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertjax.huggingface.names import Architecture
from bertjax.text.tokenizer import Tokenizer

# Absolute places: scheme://..., /..., ~/..., C:\...
_ROOT = r"(?:[a-z][a-z0-9+.-]*://|~[^/\s]*/|[A-Za-z]:[\\/]|/(?=[^\s/]))"
_PLACE = re.compile(rf"(?<![^\s\"'=,;(\[]){_ROOT}[^\s\"']*")


# What a model is for, in the Hub's words -> how it is called.
_PIPELINE = "from transformers import pipeline\n\npipeline({purpose}, model={name})"
_CLASS = """from transformers import AutoTokenizer, {architecture}

tokenizer = AutoTokenizer.from_pretrained({name})
model = {architecture}.from_pretrained({name})"""
_USES = {
    "fill-mask": _PIPELINE + "({masked})",
    "text-classification": _PIPELINE + '("A text.")',
    "token-classification": _PIPELINE + '("Words of a sentence.")',
    "question-answering": _CLASS,
    "multiple-choice": _CLASS,
    "feature-extraction": _PIPELINE + '("A text.")',
}
_TRAINED = {"fill-mask": "Pretrained", "feature-extraction": "Trained"}  # and else: fine-tuned


@dataclass(frozen=True)
class CardFacts:
    """What a model card says about a run, besides the model itself."""

    name: str
    data_fingerprint: str  # identity of the corpus
    config: str  # the resolved config as JSON
    versions: Mapping[str, str]  # package -> version
    steps: int  # of pretraining here
    start: str  # what they began from, such as "imported weights"; empty: random ones
    tokens: int  # real tokens seen
    results: Mapping[str, float]  # held-out measures, e.g. {"masked-LM loss": 2.31}
    language: tuple[str, ...] = ()  # empty: not known
    license: str = "unknown"  # an identifier of the Hugging Face Hub


def model_card(
    architecture: Architecture,
    purpose: str,
    tokenizer: Tokenizer,
    facts: CardFacts,
    parameters: int,
) -> str:
    """Return the card: YAML front matter and Markdown.

    `purpose` is the Hub's name of the task, such as "fill-mask".
    """
    name = scrub(facts.name)
    random = facts.steps == 0 and not facts.start
    tags = ["bertjax", architecture.model_type, *(["random-init"] if random else [])]
    front = {
        **({"language": list(facts.language)} if facts.language else {}),
        "license": facts.license,
        "library_name": "transformers",
        "pipeline_tag": purpose,
        "tags": tags,
    }
    mask = tokenizer.token(tokenizer.special.mask)
    verb = _TRAINED.get(purpose, "Fine-tuned")
    trained = f"{verb} for {facts.steps:,} steps on {facts.tokens:,} tokens."
    if facts.start:
        trained = f"Began from {scrub(facts.start)}. " + (
            trained if facts.steps else "It was not trained further here."
        )
    elif random:
        trained = "**Random weights, for smoke tests: this model was never trained.**"
    use = _USES[purpose].format(
        purpose=json.dumps(purpose),
        name=json.dumps(name),
        masked=json.dumps(f"One {mask} word."),
        architecture=architecture.name,
    )
    provenance = {
        "architecture": architecture.name,
        "parameters": f"{parameters:,}",
        "corpus" if purpose == "fill-mask" else "data": facts.data_fingerprint,
        "tokenizer": tokenizer.fingerprint,
        **{scrub(package): scrub(version) for package, version in facts.versions.items()},
    }
    results = {scrub(key): f"{value:.4f}" for key, value in facts.results.items()}
    config = json.dumps(_scrubbed(json.loads(facts.config)), indent=2)
    sections = [
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items()) + "---",
        f"# {name}",
        f"{trained} Made with bertjax.",
        f"## Use\n\n```python\n{use}\n```",
        f"Loaded as anything but `{architecture.name}`, `transformers` reports the heads it leaves "
        "out as unexpected and new ones as missing. That is normal.",
        "## Held-out evaluation\n\n" + (_table("measure", results) or "None was made."),
        "## Provenance\n\n" + _table("what", provenance),
    ]
    if facts.steps:  # else there was no run that it would describe
        sections.append(f"## Configuration\n\n```json\n{config}\n```")
    return "\n\n".join(sections) + "\n"


def scrub(text: str) -> str:
    """Keep only the last component of places, and no name of this machine.

    A string that is a place as a whole may have spaces in it. What follows a `?` in an address
    goes too, because signed addresses have their key there.
    """
    text = _last_component(text) if re.match(_ROOT, text) else text
    text = _PLACE.sub(lambda found: _last_component(found[0]), text)
    for host in (platform.node(), platform.node().partition(".")[0]):
        if host not in ("", "localhost"):
            text = re.sub(rf"(?<![\w-]){re.escape(host)}(?![\w-])", "host", text)
    return text


def _last_component(place: str) -> str:
    path = re.split(r"[?#]", place)[0]
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return scrub(value) if isinstance(value, str) else value


def _table(title: str, rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    lines = (f"| {key} | {value} |" for key, value in rows.items())
    return f"| {title} | value |\n|---|---|\n" + "\n".join(lines)
