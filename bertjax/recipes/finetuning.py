"""Published fine-tuning recipes; files in `configs/finetune/` add the task and its columns."""

from __future__ import annotations

from dataclasses import replace

from bertjax.config import (
    ExamplesConfig,
    FinetuneConfig,
    HeadConfig,
    OptimConfig,
    TaskConfig,
    TuneConfig,
)

# Learning rate, weight decay, epochs, batch size.
_MOSAIC_BERT = {
    "mnli": (5e-5, 5e-6, 3, 48),
    "rte": (1e-5, 1e-5, 3, 16),
    "qqp": (3e-5, 3e-6, 5, 16),
    "cola": (5e-5, 5e-6, 10, 32),
    "mrpc": (8e-5, 8e-6, 10, 32),
    "qnli": (1e-5, 1e-6, 10, 16),
    "sst2": (3e-5, 3e-6, 3, 16),
    "stsb": (3e-5, 3e-6, 10, 32),
}


def glue_task(task: TaskConfig, data: ExamplesConfig, like: str = "") -> FinetuneConfig:
    """MosaicBERT's setting of a GLUE task: that of `task.name`, or of the task `like`.

    mosaicml/examples, bert/src/glue/finetuning_jobs.py and yamls/finetuning/glue: rows of at most
    256 tokens, AdamW with β 0.9 and 0.98, linear decay after 6 % of warm-up. Their weight decay
    is not multiplied by the learning rate and ours is, so theirs is divided by it here.
    Departures: examples are shuffled anew in each epoch (theirs kept the file's order), gradients
    are clipped at norm 1, and the epoch that is best on dev is kept.
    """
    rate, decay, epochs, batch_size = _MOSAIC_BERT[like or task.name]
    return FinetuneConfig(
        task=task,
        data=replace(data, max_length=256),
        optim=OptimConfig(
            learning_rate=rate,
            b2=0.98,
            bias_correction=True,
            weight_decay=decay / rate,
            warmup_fraction=0.06,
        ),
        tune=TuneConfig(epochs=epochs, batch_size=batch_size),
    )


def devlin_2019(
    task: TaskConfig,
    data: ExamplesConfig,
    learning_rate: float = 3e-5,
    epochs: int = 3,
    batch_size: int = 32,
) -> FinetuneConfig:
    """Devlin et al. 2019, A.3: batches of 16 or 32, rate 5e-5, 3e-5 or 2e-5, 2 to 4 epochs.

    AdamW with decay 0.01, linear decay after 10 % of warm-up (google-research/bert optimization.py
    and run_classifier.py). Departure: Adam's bias correction is on, without which small data sets
    often fail to train (Mosbach et al. 2021; Zhang et al. 2021). The head has the dropout of
    theirs: 0.1 before the classifier, and none before the spans of run_squad.py.
    """
    return FinetuneConfig(
        task=task,
        data=data,
        head=HeadConfig(dropout=0.0 if task.family == "span_qa" else 0.1),
        optim=OptimConfig(
            learning_rate=learning_rate,
            bias_correction=True,
            weight_decay=0.01,
            warmup_fraction=0.1,
        ),
        tune=TuneConfig(epochs=epochs, batch_size=batch_size),
    )
