"""Every fine-tuning preset builds, and reads the real file it is for as its makers counted it."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from bertjax.config import FinetuneConfig, ModelConfig
from bertjax.finetuning.settle import adopt_encoder
from bertjax.tasks.families import label_names, read_examples, task_of

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "finetune"
NAMES = sorted(path.stem for path in CONFIGS.glob("*.py"))


def preset(name: str) -> FinetuneConfig:
    return runpy.run_path(str(CONFIGS / f"{name}.py"))["get_config"]()


@pytest.mark.parametrize("name", NAMES)
def test_presets_build(name):
    cfg = preset(name)
    assert cfg.task.name == name
    assert (cfg.data.train, cfg.data.dev, cfg.data.test) == ("", "", "")
    labels = ("a", "b") if cfg.task.family in ("classification", "multi_label", "tagging") else ()
    if cfg.task.scheme != "none":
        labels = ("O", "B-a", "I-a")
    task = task_of(cfg, cfg.task.labels or labels)
    assert (cfg.task.metric or task.metrics[0]) in task.metrics


def test_every_task_of_glue_and_the_others_have_a_preset():
    wanted = "ax cola mnli mrpc qnli qqp rte snli sst2 stsb wnli"
    wanted += " classification regression multi_label swag race pos_ewt ner_conll"
    wanted += (
        " chunking_conll2000 chnsenticorp tnews afqmc lcqmc cluener squad1 squad2 cmrc2018 drcd"
    )
    assert set(wanted.split()) == set(NAMES)


def test_mosaic_berts_decay_is_theirs_after_the_rate():
    """finetuning_jobs.py: decays of 5e-6 for MNLI and 1e-5 for RTE, apart from the rate."""
    for name, decay in {"mnli": 5e-6, "rte": 1e-5, "mrpc": 8e-6, "wnli": 1e-5}.items():
        optim = preset(name).optim
        assert optim.weight_decay * optim.learning_rate == pytest.approx(decay)


CLASSES = {
    "classification": "BertForSequenceClassification",
    "regression": "BertForSequenceClassification",
    "multi_label": "BertForSequenceClassification",
    "tagging": "BertForTokenClassification",
    "span_qa": "BertForQuestionAnswering",
    "multiple_choice": "BertForMultipleChoice",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_head_has_the_dropout_that_the_class_of_transformers_has(name):
    transformers = pytest.importorskip("transformers")
    head, family = preset(name).head, preset(name).task.family
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 9}
    cfg = transformers.BertConfig(**sizes, intermediate_size=8, classifier_dropout=head.dropout)
    theirs = getattr(transformers, CLASSES[family])(cfg)
    rates = [m.p for n, m in theirs.named_modules() if n == "dropout"]
    assert rates == ([head.dropout] if head.dropout else [])


# Preset, file, examples, labels; the counts of the data's own README.
FILES = [
    ("sst2", "glue/SST-2/train.tsv.xz", 67_349, 2),
    ("sst2", "glue/SST-2/dev.tsv", 872, 2),
    ("cola", "glue/CoLA/train.tsv", 8_551, 2),
    ("cola", "glue/CoLA/dev.tsv", 1_043, 2),
    ("mrpc", "glue/MRPC/train.tsv.xz", 3_668, 2),
    ("mrpc", "glue/MRPC/dev.tsv", 408, 2),
    ("stsb", "glue/STS-B/train.tsv.xz", 5_749, 0),
    ("stsb", "glue/STS-B/dev.tsv", 1_500, 0),
    ("qnli", "glue/QNLI/dev.tsv.xz", 5_463, 2),
    ("wnli", "glue/WNLI/train.tsv", 635, 2),
    ("wnli", "glue/WNLI/dev.tsv", 71, 2),
    ("chnsenticorp", "zh_cls/chnsenticorp/train.tsv.xz", 9_600, 2),
    ("chnsenticorp", "zh_cls/chnsenticorp/dev.tsv", 1_200, 2),
    ("tnews", "zh_cls/tnews/train.tsv.xz", 53_360, 15),
    ("tnews", "zh_cls/tnews/dev.tsv.xz", 10_000, 15),
    ("afqmc", "zh_cls/afqmc/train.tsv.xz", 34_334, 2),
    ("afqmc", "zh_cls/afqmc/dev.tsv", 4_316, 2),
    ("lcqmc", "zh_cls/lcqmc/dev.tsv", 8_802, 2),
    ("lcqmc", "zh_cls/lcqmc/test.tsv.xz", 12_500, 2),
    ("pos_ewt", "ud_english_ewt/en_ewt-ud-dev.conllu.xz", 2_001, 17),
    ("pos_ewt", "ud_english_ewt/en_ewt-ud-test.conllu.xz", 2_077, 17),
    ("chunking_conll2000", "conll2000/train.txt.xz", 8_936, 23),
    ("chunking_conll2000", "conll2000/test.txt", 2_012, None),
    ("cluener", "cluener/train.jsonl.xz", 10_748, 21),
    ("cluener", "cluener/dev.jsonl", 1_343, 21),
    ("squad1", "squad_v1.1_slice/dev-slice.json", 545, 0),
    ("squad1", "squad_v1.1_slice/train-slice.json.xz", 8_050, 0),
    ("drcd", "drcd/DRCD_dev.json.xz", 3_524, 0),
    ("drcd", "drcd/DRCD_test.json.xz", 3_493, 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "file", "count", "labels"), FILES)
def test_real_files_are_read_whole(shared_data, name, file, count, labels):
    cfg = preset(name)
    examples, skipped = read_examples(str(shared_data / file), cfg)
    assert (len(examples), skipped) == (count, 0)
    assert all(example.label is not None for example in examples)
    if labels is not None:
        assert len(label_names(cfg, examples)) == labels


def test_answers_that_are_not_in_their_context_are_skipped(shared_data):
    path = str(shared_data / "cmrc2018" / "cmrc2018_dev.json.xz")
    examples, skipped = read_examples(path, preset("cmrc2018"))
    assert len(examples) <= 3_219 <= len(examples) + skipped
    assert skipped > 0


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("sst2", "glue/SST-2/test.tsv", 1_821),
        ("mrpc", "glue/MRPC/test.tsv", 1_725),
        ("stsb", "glue/STS-B/test.tsv", 1_379),
        ("qnli", "glue/QNLI/test.tsv.xz", 5_463),
        ("wnli", "glue/WNLI/test.tsv", 146),
        ("ax", "glue/diagnostic/diagnostic.tsv", 1_104),
        ("afqmc", "zh_cls/afqmc/test.tsv", 3_861),
    ],
)
def test_unlabelled_files_are_read_for_prediction(shared_data, name, file, count):
    examples, skipped = read_examples(str(shared_data / file), preset(name), labelled=False)
    assert (len(examples), skipped) == (count, 0)
    assert {example.label for example in examples} == {None}


def test_other_columns_need_no_python(shared_data):
    """SNLI and Quora in another layout than GLUE's: columns by number, labels of the file."""
    for name, file, labels in (("snli", "snli_devtest", "012"), ("qqp", "quora_devtest", "01")):
        cfg = preset(name)
        data = replace(cfg.data, header=False, text="1", text_pair="2", label="3")
        task = replace(cfg.task, labels=())
        cfg = replace(cfg, data=data, task=task)
        examples, skipped = read_examples(str(shared_data / file / "dev.tsv.xz"), cfg)
        assert (len(examples), skipped) == ({"snli": 9_842, "qqp": 10_000}[name], 0)
        assert label_names(cfg, examples) == tuple(labels)


def test_a_recipe_is_cut_to_the_positions_that_the_encoder_has():
    recipe = preset("squad1")
    small = adopt_encoder(recipe, ModelConfig(max_positions=64))["data"]
    assert (small.max_length, small.window_step) == (64, 64)
    # A question of 64 tokens and three special ones leave 61, half of which is a step.
    quickstart = adopt_encoder(recipe, ModelConfig(max_positions=128))["data"]
    assert (quickstart.max_length, quickstart.window_step) == (128, 30)
    assert adopt_encoder(recipe, ModelConfig(max_positions=512))["data"] == recipe.data
