"""What is said of a fine-tuning run before its first step."""

from __future__ import annotations

from collections.abc import Collection

from bertjax.config import FinetuneConfig
from bertjax.finetuning import parameters
from bertjax.finetuning.material import Encoded, Material, Start
from bertjax.model.task import TaskShape
from bertjax.runs.compiled import kept_programs
from bertjax.terminal import count
from bertjax.transfer.pseudo_labels import MASS


def describe_model(
    cfg: FinetuneConfig, shape: TaskShape, start: Start, fresh: Collection[str]
) -> str:
    """What it starts from, and what of it moves: lines for the terminal."""
    brought = {path.rpartition("/")[0] for path in fresh if "/update/" not in path}
    new = ", ".join(sorted(part for part in brought if "_adapter/" not in part))
    lines = [
        f"start  {start.source}" + (f"; new: {new or 'nothing'}" if start.params else ""),
        f"model  {cfg.model.num_layers} layers × {cfg.model.hidden_size}",
    ]
    if cfg.tune.method != "full":
        counts = parameters.weight_counts(cfg, shape, start.params)
        lines.append(
            f"tune   {cfg.tune.method}: {counts['encoder']:,} weights of the encoder and "
            f"{counts['head']:,} of the head are trained, {counts['kept']:,} stay"
        )
    return "\n".join(lines)


def describe_data(
    cfg: FinetuneConfig, material: Material, train: Encoded, dev: Encoded, per_epoch: int
) -> str:
    """What it learns from, for how long, and what of it is cut or unknown."""
    limit = f"data.max_length={cfg.data.max_length}"
    if cfg.task.family == "span_qa" and cfg.data.window_step:  # only questions are cut
        limit = f"task.max_query={cfg.task.max_query}"
    tokens = count(sum(map(len, train.rows.tokens)))
    forms = ", ".join(f"{form.lines}×{form.width}" for form in material.training_forms)
    labels = f", {len(cfg.task.labels)} labels" if cfg.task.labels else ""
    lines = [
        f"task   {cfg.task.name}, {cfg.task.family}{labels}",
        f"data   {len(train.examples):,} examples, {len(train.rows.tokens):,} rows, {tokens} "
        f"tokens; dev {len(dev.examples):,}; batches of {forms}",
        f"train  {cfg.tune.epochs} epochs of {per_epoch} steps, {cfg.tune.models} models",
        kept_programs(),
    ]
    unknown = material.tokenizer.token(material.tokenizer.special.unk)
    for name, encoded in material.encoded.items():
        if encoded.rows.cut_examples:
            lines.append(
                f"cut    {name}: {encoded.rows.cut_tokens:,} tokens of "
                f"{encoded.rows.cut_examples:,} examples are beyond {limit}"
            )
        if encoded.unknown > 0.01:
            lines.append(
                f"unk    {name}: {encoded.unknown:.1%} of the tokens are {unknown}, which the "
                "tokenizer puts for what it does not know"
            )
    return "\n".join([*lines, *_describe_pool(cfg, material, train), *material.splits.report()])


def _describe_pool(cfg: FinetuneConfig, material: Material, train: Encoded) -> list[str]:
    """What the unlabelled rows are for, and whether there are as many as the rule asks for."""
    transfer, n, m = cfg.transfer, len(train.examples), len(material.splits.unlabelled)
    if transfer.method == "none":
        return []
    lines = [f"pool   {n:,} labelled and {m:,} unlabelled rows: {transfer.method}"]
    if transfer.aligned:
        lines[0] += f", weight {transfer.weight:g}, a batch of both kinds a step"
        return lines
    rounds = "1 round" if transfer.rounds == 1 else f"{transfer.rounds} rounds"
    lines[0] += f", {rounds}, those that a teacher is {transfer.threshold:g} sure of or more"
    if transfer.method == "weighted_pseudo_labels" and transfer.mean == "joint":
        ratio = transfer.labelled_weight / transfer.pseudo_weight
        low, high = (mass * ratio for mass in MASS)
        held = "holds" if low <= m / n <= high else "does not hold"
        lines.append(
            f"rule   m/n from {low:g} to {high:g} with W1={transfer.labelled_weight:g} and "
            f"W2={transfer.pseudo_weight:g}: {held}, as m/n is {m / n:.3g} if all rows are taken in"
        )
    return lines
