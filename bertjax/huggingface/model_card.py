"""`README.md` of an export: where the model came from and how good it is.

A card is made to be published, so strings that come from a run lose directories and host names.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NamedTuple

from bertjax.huggingface.names import Architecture
from bertjax.huggingface.text_vectors import TextVectors
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
    "token-classification": """from transformers import pipeline

# Of a word the first piece alone was trained, so the other strategies ask pieces that were not.
tag = pipeline({purpose}, model={name}, aggregation_strategy="first")
tag("Words of a sentence.")""",
    "question-answering": _CLASS,
    "text-generation": _CLASS,
    "multiple-choice": _CLASS,
    "feature-extraction": _PIPELINE + '("A text.")',
    "sentence-similarity": """from sentence_transformers import SentenceTransformer

SentenceTransformer({name}).encode(["A text.", "Another one."])""",
}
_HEADLESS = ("feature-extraction", "sentence-similarity")
# Metrics whose names in the Hub's library `evaluate` are others.
_HUB_METRICS = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "strict_f1": "f1",
    "mcc": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
_TRAINED = {  # and else: fine-tuned
    **dict.fromkeys(("fill-mask", "text-generation"), "Pretrained"),
    **dict.fromkeys(_HEADLESS, "Trained"),
}


class Score(NamedTuple):
    """A metric: of the model that is exported, and over all models that were trained alike."""

    metric: str
    value: float | None  # None: it is not a number
    mean: float | None
    deviation: float | None  # None: of one model there is none
    convention: str


@dataclass(frozen=True)
class Evaluation:
    """What a fine-tuned model scores on examples that it was not trained on."""

    split: str  # test, dev or "held-out fold"
    data: str  # the file, for people
    examples: int
    models: int  # over which means and deviations are
    scores: tuple[Score, ...]
    choice: str  # sentences: which model this is, and what chose it


@dataclass(frozen=True)
class CardFacts:
    """What a model card says about a run, besides the model itself."""

    name: str
    data_fingerprint: str  # identity of the corpus or of the examples
    config: str  # the resolved config as JSON
    versions: Mapping[str, str]  # package -> version
    steps: int  # of pretraining here
    start: str  # what they began from, such as "imported weights"; empty: random ones
    tokens: int  # real tokens seen
    results: Mapping[str, float]  # held-out measures, e.g. {"masked-LM loss": 2.31}
    average: float = 0.0  # decay of the moving average that the weights are; 0: they are none
    evaluation: Evaluation | None = None  # of a fine-tuned model, in place of `results`
    task: str = ""  # what it was fine-tuned for, with its labels
    data: str = ""  # what it was trained on, by name; empty: not known
    language: tuple[str, ...] = ()  # empty: not known
    license: str = "unknown"  # an identifier of the Hugging Face Hub
    datasets: tuple[str, ...] = ()  # on which it was trained, as the Hub calls them
    base_model: str = ""  # what it began from, as the Hub calls it

    @property
    def is_random(self) -> bool:
        """Whether nothing was ever trained."""
        return self.steps == 0 and not self.start


def model_card(
    architecture: Architecture,
    purpose: str,
    tokenizer: Tokenizer,
    facts: CardFacts,
    parameters: int,
    vectors: TextVectors | None = None,
) -> str:
    """Return the card: YAML front matter and Markdown.

    `purpose` is the Hub's name of the task, such as "fill-mask".
    """
    name = scrub(facts.name)
    mask = tokenizer.token(tokenizer.special.mask)
    use = _USES[purpose].format(
        purpose=json.dumps(purpose),
        name=json.dumps(name),
        masked=json.dumps(f"One {mask} word."),
        architecture=architecture.name,
    )
    provenance = {
        "architecture": architecture.name,
        "parameters": f"{parameters:,}",
        "corpus" if facts.evaluation is None else "examples": facts.data_fingerprint,
        "tokenizer": tokenizer.fingerprint,
        **{scrub(package): scrub(version) for package, version in facts.versions.items()},
    }
    front = _front_matter(architecture, purpose, facts)
    sections = [
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items()) + "---",
        f"# {name}",
        f"{_trained(facts, purpose)} Made with bertjax.",
        *([vectors.said] if vectors else []),
        f"## Use\n\n```python\n{use}\n```",
        f"Loaded as anything but `{architecture.name}`, `transformers` reports the heads it leaves "
        "out as unexpected and new ones as missing. That is normal.",
        f"## Held-out evaluation\n\n{_evaluation(facts, purpose)}",
        "## Provenance\n\n" + _table("what", provenance),
    ]
    if facts.steps:  # else there was no run that it would describe
        config = json.dumps(_scrubbed(json.loads(facts.config)), indent=2)
        sections.append(f"## Configuration\n\n```json\n{config}\n```")
    return "\n\n".join(sections) + "\n"


def _front_matter(architecture: Architecture, purpose: str, facts: CardFacts) -> dict[str, Any]:
    """What the Hub reads of a card."""
    library = "sentence-transformers" if purpose == "sentence-similarity" else "transformers"
    tags = ["bertjax", architecture.model_type, *(["random-init"] if facts.is_random else [])]
    tags += [library] if library != "transformers" else []
    front: dict[str, Any] = {
        **({"language": list(facts.language)} if facts.language else {}),
        "license": facts.license,
        "library_name": library,
        "pipeline_tag": purpose,
        "tags": tags,
        **({"datasets": list(facts.datasets)} if facts.datasets else {}),
        **({"base_model": facts.base_model} if facts.base_model else {}),
    }
    if purpose not in _HEADLESS and (result := _hub_result(facts, purpose))["metrics"]:
        front["metrics"] = list(dict.fromkeys(metric["type"] for metric in result["metrics"]))
        front["model-index"] = [{"name": scrub(facts.name), "results": [result]}]
    return front


def _trained(facts: CardFacts, purpose: str) -> str:
    """How the weights came to be, in sentences."""
    if facts.is_random:
        return "**Random weights, for smoke tests: this model was never trained.**"
    task = f" for {facts.task}" if facts.task else ""
    data = f" of {scrub(facts.data)}" if facts.data else ""
    verb = _TRAINED.get(purpose, "Fine-tuned")
    said = f"{verb}{task} for {facts.steps:,} steps on {facts.tokens:,} tokens{data}."
    if facts.average:
        said += f" The weights are their moving average by {facts.average:g} over the steps."
    if not facts.start:
        return said
    return f"Began from {scrub(facts.start)}. " + (
        said if facts.steps else "It was not trained further here."
    )


def _evaluation(facts: CardFacts, purpose: str) -> str:
    if facts.evaluation:
        left_out = purpose in _HEADLESS
        before = "With the head that is left out here. " if left_out else ""
        return before + _scores(facts.evaluation)
    results = {scrub(key): f"{value:.4f}" for key, value in facts.results.items()}
    return _table("measure", results) or "None was made."


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


def _scores(found: Evaluation) -> str:
    """The scores as a table, each with its convention, under what they are of."""
    many = found.models > 1
    titles = ["metric", "this model", *([f"mean of {found.models}"] if many else []), "convention"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for score in found.scores:
        cells = [score.metric, _number(score.value)]
        if many:
            cells.append(f"{_number(score.mean)} ± {_number(score.deviation)}")
        cells.append(scrub(score.convention).replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    about = f"On {found.split}: {scrub(found.data)}, {found.examples:,} examples."
    about += f" {scrub(found.choice)}"  # that of a soup names a file
    return f"{about}\n\n" + "\n".join(lines)


def _number(value: float | None) -> str:
    return "no number" if value is None else f"{value:.4f}"


def _hub_result(facts: CardFacts, purpose: str) -> dict[str, Any]:
    """The model's own scores as an entry of the Hub's `model-index`."""
    found = facts.evaluation
    if found is None:
        data, split = "held-out documents of its corpus", "validation"
        metrics = [
            {"type": metric, "name": scrub(name), "value": value}
            for name, value in facts.results.items()
            if (metric := name.rpartition(" ")[2]) in ("accuracy", "loss")
        ]
    else:
        data, split = scrub(found.data), found.split
        metrics = [
            {
                "type": _HUB_METRICS.get(score.metric, score.metric),
                "name": f"{score.metric}: {scrub(score.convention)}",
                "value": score.value,
            }
            for score in found.scores
            if score.value is not None
        ]
    kind = facts.datasets[0] if facts.datasets else PurePath(data).stem.replace(" ", "-")
    dataset = {"name": data, "type": kind, "split": split}
    return {"task": {"type": purpose}, "dataset": dataset, "metrics": metrics}


def _table(title: str, rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    lines = (f"| {key} | {value} |" for key, value in rows.items())
    return f"| {title} | value |\n|---|---|\n" + "\n".join(lines)
