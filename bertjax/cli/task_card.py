"""What the card of a fine-tuned model says: which model it is, of what, and how good."""

from __future__ import annotations

from typing import Any

from bertjax import written
from bertjax.finetuning.member import Member
from bertjax.finetuning.saved import SavedRun
from bertjax.huggingface import CardFacts, Evaluation, Score
from bertjax.overrides import to_json
from bertjax.runs.directory import RunDirectory
from bertjax.runs.environment import describe_environment
from bertjax.tasks.conventions import conventions

_LABELS = 12  # named in a card


def task_card(saved: SavedRun, member: Member, name: str) -> CardFacts:
    """The facts about one model of a run, to be exported as `name`."""
    entry = _entry(saved, member)
    convention = saved.results["convention"]
    environment = describe_environment()
    before = convention["start_task"]
    return CardFacts(
        name=name,
        data_fingerprint=_examples(saved),
        config=to_json(saved.cfg),
        versions={"bertjax": environment["bertjax"], **environment["packages"]},
        steps=entry["steps"],
        start=convention["start"] + (f", fine-tuned for {before}" if before else ""),
        tokens=entry["tokens"],
        results={},
        evaluation=_evaluation(saved, member),
        task=_task(saved),
        data=_learnt_from(saved),
        datasets=_datasets(saved.cfg.data.train),
    )


def _learnt_from(saved: SavedRun) -> str:
    """The training file, and the one without labels where there is one."""
    data, cut = saved.cfg.data, saved.results["cut"]
    said = f"{data.train} ({cut['train']['of']:,} examples)"
    if not data.unlabelled:
        return said
    many = cut["unlabelled"]["of"]
    return f"{said} and {data.unlabelled} ({many:,} without labels, {saved.cfg.transfer.method})"


def chosen(saved: SavedRun, member: Member) -> str:
    """Which of the run's models this is, and what chose it."""
    entry, models = _entry(saved, member), saved.results["models"]
    in_round = f"round {entry['round']}, " if "round" in entry else ""
    of = f"{member.name}, {in_round}epoch {entry['best_epoch']} of {entry['epochs']}"
    metric = saved.results["metric"]
    if "soup" in saved.results:
        return f"{member.name}: {saved.results['convention']['selection']}"
    if len(models) == 1:
        return f"{of}: the one with the best {metric} on dev"
    if saved.cfg.tune.folds or member != saved.best:
        return f"{of}: one of {len(models)} models"
    return f"{of}: the best of {len(models)} models by {metric} on dev"


def _datasets(train: str) -> tuple[str, ...]:
    """The name of a data set of TFDS without its variant; of files none is known."""
    name = train.removeprefix("tfds:").partition(":")[0].partition("/")[0]
    return (name,) if train.startswith("tfds:") and name else ()


def _evaluation(saved: SavedRun, member: Member) -> Evaluation:
    """On test where there is one, else on what chose the epoch."""
    entry, splits = _entry(saved, member), saved.results["splits"]
    split = next(name for name in ("test", "dev", "out_of_fold") if name in splits)
    over_models: dict[str, Any] = splits[split]["models"]
    at = saved.members.index(member)
    scores = []
    metrics = sorted(over_models, key=lambda name: name != saved.results["metric"])
    for metric, said in conventions(saved.cfg.task, metrics).items():
        found = over_models[metric]
        own = entry["dev"].get(metric) if split == "out_of_fold" else found["values"][at]
        scores.append(Score(metric, own, found["mean"], found["sd"], said))
    choice = f"It is {chosen(saved, member)}."
    if split != "test":
        choice += " These examples chose it, so the numbers flatter it."
    if split == "out_of_fold":
        choice += " It is scored on the fold that it did not see, the mean is of all folds."
    data, names = saved.cfg.data, {"out_of_fold": "held-out folds"}
    files = {"test": data.test, "dev": data.dev or f"{data.dev_share:g} of {data.train}"}
    if "soup" in saved.results:
        files["dev"] = saved.results["soup"]["split"]
    return Evaluation(
        split=names.get(split, split),
        data=files.get(split, data.train),
        examples=splits[split]["examples"],
        models=len(next(iter(over_models.values()))["values"]),
        scores=tuple(scores),
        choice=choice,
    )


def _task(saved: SavedRun) -> str:
    task = saved.cfg.task
    more = ", ..." if len(task.labels) > _LABELS else ""
    labels = f" ({', '.join(task.labels[:_LABELS])}{more})" if task.labels else ""
    return f"{task.family.replace('_', ' ')}{labels}"


def _entry(saved: SavedRun, member: Member) -> dict[str, Any]:
    return saved.results["models"][saved.members.index(member)]


def _examples(saved: SavedRun) -> str:
    """The fingerprint of the examples it was trained on."""
    return written.read(RunDirectory(saved.path).origin, {"train examples": str})["train examples"]
