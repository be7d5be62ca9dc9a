"""Runs of few weights: what moves, what is stored, whose encoder it is, and what works from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_task
from tiny_task import config, start, write_table

from bertjax import huggingface
from bertjax.cli.export import check_lines
from bertjax.cli.main import main
from bertjax.config import FinetuneConfig
from bertjax.errors import UserError
from bertjax.finetuning.material import Start
from bertjax.finetuning.run import finetune
from bertjax.finetuning.saved import open_saved, open_start
from bertjax.tree import flatten

METHODS = {
    "lora": {"lora": {"rank": 4, "alpha": 8.0, "dropout": 0.1}},
    "houlsby": {"adapter": {"reduction": 4.0}},
    "pfeiffer": {"adapter": {"reduction": 4.0, "norms": True}},
    "bitfit": {},
}
MOVES = {
    "lora": ("/update/",),
    "houlsby": ("_adapter/",),
    "pfeiffer": ("_adapter/", "norm/"),
    "bitfit": ("/bias",),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    return write_table(folder / "train.tsv", 96), write_table(folder / "dev.tsv", 24, seed=1)


def few(tables, method: str, **changes) -> FinetuneConfig:
    tune = {"method": method, "epochs": 2, "row_lengths": 1} | changes.pop("tune", {})
    return config(*tables, **{"tune": tune, **METHODS[method], **changes})


def leaves(params) -> dict[str, np.ndarray]:
    return {path: np.asarray(leaf) for path, leaf in flatten(jax.device_get(params)).items()}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """The tiny encoder as a Hugging Face directory."""
    out = tmp_path_factory.mktemp("base") / "hf"
    facts = huggingface.CardFacts("tiny", "", "{}", {}, 0, "", 0, {})
    cfg = config(Path("x")).model
    huggingface.export_model(
        cfg, tiny_task.encoder(), tiny_task.tokenizer(), out, facts, check_lines()
    )
    return out


@pytest.fixture(scope="module")
def run(base, tables, tmp_path_factory) -> Path:
    """A run of LoRA on it."""
    path = tmp_path_factory.mktemp("lora") / "run"
    cfg, began = open_start(base)
    trained = replace(few(tables, "lora"), model=cfg.with_dropout_of(few(tables, "lora").model))
    assert finetune(trained, path, began).stopped is None
    return path


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_rest_stays_bit_for_bit_and_is_not_stored(method, tables, tmp_path):
    stopped = iter([None] * 3 + ["asked"] * 99)
    cfg, run = few(tables, method), tmp_path / "run"
    assert finetune(cfg, run, start(), stop=lambda: next(stopped)).stopped == "asked"
    interrupted = stored_paths(run / "seed-0" / "checkpoints")
    assert finetune(cfg, run, start()).stopped is None
    saved = open_saved(run, start())
    before, after = leaves(tiny_task.encoder()), leaves(saved.parameters(saved.best))
    moved = set()
    for path, value in after.items():
        own = any(name in path for name in MOVES[method])
        if path not in before or own:
            moved.add(path)
        if path in before:
            assert (value.tobytes() != before[path].tobytes()) == own, path
    assert stored_paths(run / "seed-0" / "best") == sorted(moved)
    state = [path for path in interrupted if not path.endswith(("step", "count", "bad_steps"))]
    assert len(state) == 3 * len(moved)  # the weights and two moments of each
    assert all(path.endswith(tuple(f"/{name}" for name in moved)) for path in state)
    counts = saved.results["weights"]
    assert counts["encoder"] + counts["head"] == sum(after[path].size for path in moved)


def stored_paths(store: Path) -> list[str]:
    """The paths of the arrays of a store's only checkpoint, by what Orbax says of it."""
    (file,) = store.rglob("_METADATA")
    entries = json.loads(file.read_text())["tree_metadata"].values()
    paths = ("/".join(key["key"] for key in entry["key_metadata"]) for entry in entries)
    empty = tuple("0123456789"), "inner_state"  # states of optax that hold nothing
    return sorted(path for path in paths if not path.endswith((*empty[0], empty[1])))


def test_an_interrupted_run_goes_on_bit_for_bit(run, base, tables, tmp_path):
    stopped = iter([None] * 3 + ["asked"] * 99)
    cfg, again = open_saved(run).cfg, tmp_path / "run"
    began = open_start(base)[1]
    assert finetune(cfg, again, began, stop=lambda: next(stopped)).stopped == "asked"
    assert finetune(cfg, again, began).stopped is None
    one, other = (open_saved(path) for path in (run, again))
    ours, theirs = leaves(one.weights(one.best)), leaves(other.weights(other.best))
    assert all(ours[path].tobytes() == theirs[path].tobytes() for path in ours)


def test_the_encoder_is_found_where_it_lies_or_is_named(run, base, tables, tmp_path, capfd):
    out = tmp_path / "said.jsonl"
    predict = ["predict", str(run), "--input", str(tables[1]), "--out", str(out)]
    assert main(predict) == 0
    expected = [json.loads(line) for line in (run / "dev.jsonl").read_text().splitlines()]
    said = [json.loads(line) for line in out.read_text().splitlines()]
    assert [x["probabilities"] for x in said] == [x["probabilities"] for x in expected]
    moved = shutil.copytree(run, tmp_path / "elsewhere" / "run")
    note = json.loads((moved / "base.json").read_text()) | {"path": str(tmp_path / "gone")}
    (moved / "base.json").write_text(json.dumps(note | {"from_here": "../gone"}))
    capfd.readouterr()
    assert main(["predict", str(moved), *predict[2:]]) == 2
    said = capfd.readouterr().err
    assert "holds few weights and not their encoder" in said and "--base" in said
    kept = shutil.copytree(base, tmp_path / "new place")
    evaluate = ["evaluate", str(moved), "--data", str(tables[1]), "--base", str(kept)]
    assert main(evaluate) == 0
    note["from_here"] = "../../new place"  # both were moved together
    (moved / "base.json").write_text(json.dumps(note))
    assert main(evaluate[:-2]) == 0


def test_another_encoder_is_refused(run, tmp_path):
    other = jax.tree.map(lambda leaf: leaf + np.float32(1e-6), tiny_task.encoder())
    saved = open_saved(run, Start("another", other, tiny_task.tokenizer()))
    with pytest.raises(UserError, match=r"belong to encoder .* and another is .*--base"):
        saved.parameters(saved.best)


def test_many_tasks_share_one_encoder_in_memory(run, base, tables):
    _, encoder = open_start(base)
    runs = [open_saved(run, encoder), open_saved(run, encoder)]
    table = "embeddings/word_embeddings/embedding"
    first, second = (flatten(saved.parameters(saved.best))[table] for saved in runs)
    assert first is second is flatten(encoder.params)[table]


def test_what_is_exported_whole_is_merged(run, tmp_path):
    """transformers' class has the logits of the run, from weights without anything added."""
    assert main(["export", str(run), "--out", str(tmp_path / "hf")]) == 0
    saved, imported = open_saved(run), huggingface.import_task_model(tmp_path / "hf")
    merged, plain = leaves(imported.params), leaves(saved.plain(saved.best))
    assert merged.keys() == plain.keys()
    assert all(merged[path].tobytes() == plain[path].tobytes() for path in plain)
    with_updates = leaves(saved.parameters(saved.best))
    kernel = "layer_0/attention/query/kernel"
    update = [with_updates[f"layer_0/attention/query/update/{x}"].astype(float) for x in "ab"]
    expected = with_updates[kernel] + 2.0 * update[0] @ update[1]
    np.testing.assert_allclose(plain[kernel], expected, atol=1e-6)
    assert np.abs(plain[kernel] - with_updates[kernel]).max() > 1e-4


# 2026-11: peft 0.21 reads a property that transformers 5.23 has renamed.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_peft_folder_of_a_run_gives_its_predictions(run, base, tables, tmp_path):
    peft = pytest.importorskip("peft")
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    assert main(["export", str(run), "--out", str(tmp_path / "few"), "--peft"]) == 0
    labels = open_saved(run).task.labels
    bare = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    model = peft.PeftModel.from_pretrained(bare, tmp_path / "few").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "few")
    for line in (run / "dev.jsonl").read_text().splitlines()[:8]:
        said = json.loads(line)
        with torch.no_grad():
            logits = model(**tokenizer(said["text"], return_tensors="pt")).logits[0]
        ours = [said["probabilities"][label] for label in labels]
        np.testing.assert_allclose(torch.softmax(logits, -1), ours, atol=1e-5)


def test_another_run_starts_from_what_was_merged(run, tables):
    cfg, began = open_start(run)
    assert not any("update" in path for path in flatten(began.params))
    assert began.path == run and cfg.num_layers == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lora": {"rank": 33}}, r"lora\.rank=33, but query is 32 × 32: use at most 32"),
        ({"lora": {"targets": ("gate",)}}, r"lora\.targets=gate: .* have none of that name"),
        ({"lora": {"targets": ("qery",)}}, r"lora\.targets='qery' is not known: .*query"),
        ({"tune": {"layers": 1}}, r"tune\.layers=1 with tune\.method=lora"),
        ({"tune": {"reinit_layers": 1}}, r"tune\.reinit_layers=1 with tune\.method=lora"),
        ({"tune": {"method": "bitfit"}}, r"lora\.\* is set with tune\.method=bitfit"),
        ({"tune": {"method": "prefix"}}, r"tune\.method='prefix' is not known"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    changes, message, tables, tmp_path
):
    with pytest.raises(UserError, match=message) as refused:
        finetune(few(tables, "lora", **changes), tmp_path / "run", start())
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_a_bottleneck_wider_than_nothing_and_random_weights_are_refused(tables, tmp_path):
    narrow = few(tables, "houlsby", adapter={"reduction": 33.0})
    with pytest.raises(UserError, match=r"adapter\.reduction=33 leaves nothing .* of 32"):
        finetune(narrow, tmp_path / "run", start())
    with pytest.raises(UserError, match=r"tune\.method=lora with random weights"):
        finetune(few(tables, "lora"), tmp_path / "run", replace(start(), params={}))
    assert not (tmp_path / "run").exists()
