"""Real rows: what a fine-tuned run predicts is what transformers answers from its export."""

from __future__ import annotations

import json
import lzma
import re
import shutil
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_run
import torch
import transformers
from safetensors.numpy import load_file, save_file

CONFIGS = Path(__file__).parents[2] / "configs" / "finetune"
ROWS = 200
QUICK = ("tune.epochs=1", "optim.learning_rate=2e-4")
LENGTH, STEP, ANSWER = 128, 64, 30  # of windows; so short that paragraphs take several

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shallow(checkpoint, tmp_path_factory) -> Path:
    """Two of the six layers: as many rows to compare, at a third of what they cost."""
    out = tmp_path_factory.mktemp("shallow") / "model"
    shutil.copytree(checkpoint, out)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    tensors = load_file(out / "model.safetensors")
    above = re.compile(r"encoder\.layer\.([2-5])\.")
    kept = {name: tensor for name, tensor in tensors.items() if not above.search(name)}
    assert len(kept) == len(tensors) - 4 * 16
    save_file(kept, out / "model.safetensors", {"format": "pt"})
    return out


def bertjax(*argv: str) -> None:
    """A command as users run it: compiled with all optimizations, for one device."""
    tiny_run.finish(tiny_run.start(list(argv), XLA_FLAGS=""))


def answers_of_both(config: str, checkpoint: Path, rows: Path, tmp_path: Path, *options: str):
    """Fine-tune; our predictions for the file `rows`, and where the model was exported to."""
    run, said, out = (str(tmp_path / name) for name in ("ft", "said.jsonl", "hf"))
    start = ("--config", str(CONFIGS / config), "--init", str(checkpoint))
    bertjax("finetune", *start, "--workdir", run, *QUICK, *options)
    bertjax("predict", run, "--input", str(rows), "--out", said)
    bertjax("export", run, "--out", out)
    predictions = [json.loads(line) for line in Path(said).read_text("utf-8").splitlines()]
    assert len(predictions) == ROWS
    return predictions, out


def test_words_get_the_tags_of_the_pipeline(shallow, shared_data, tmp_path) -> None:
    folder = shared_data / "ud_english_ewt"
    rows = tmp_path / "dev.conllu"
    with lzma.open(folder / "en_ewt-ud-dev.conllu.xz", "rt", encoding="utf-8") as lines:
        sentences = ["".join(group) for blank, group in groupby(lines, str.isspace) if not blank]
    sentences = [text for text in sentences if 5 <= text.count("\n") < 35]
    rows.write_text("\n".join(sentences[:ROWS]) + "\n", encoding="utf-8")
    predictions, out = answers_of_both(
        "pos_ewt.py", shallow, rows, tmp_path,
        f"data.train={folder / 'en_ewt-ud-train.conllu.xz'}", f"data.dev={rows}",
        "data.max_rows=384", "data.max_length=64",
    )  # fmt: skip
    tag = transformers.pipeline("token-classification", model=out, ignore_labels=[])
    seen = set()
    for predicted, pieces in zip(
        predictions, tag([p["tokens"] for p in predictions], is_split_into_words=True), strict=True
    ):
        first = {}  # tag of the first piece, by where the word starts in the joined text
        for piece in pieces:
            first.setdefault(piece["start"], piece["entity"])
        starts = np.cumsum([0, *(len(word) + 1 for word in predicted["tokens"][:-1])])
        assert predicted["prediction"] == [first.get(int(start)) for start in starts]
        seen.update(predicted["prediction"])
    assert len(seen) > 8


def test_questions_get_the_spans_that_its_logits_hold(shallow, shared_data, tmp_path) -> None:
    """transformers 5 has no pipeline for questions any more: its tokenizer and model, and the
    rules of google-research/bert run_squad.py by brute force."""
    folder = shared_data / "squad_v1.1_slice"
    rows, few = tmp_path / "dev.json", tmp_path / "few.json"
    slice_ = json.loads((folder / "dev-slice.json").read_text(encoding="utf-8"))
    paragraphs = [p for article in slice_["data"] for p in article["paragraphs"]]
    paragraphs.sort(key=lambda p: len(p["context"]))
    questions = [(p["context"], qa) for p in paragraphs for qa in p["qas"]][:ROWS]
    for path, some in ((rows, questions), (few, questions[:8])):
        kept = [{"context": context, "qas": [qa]} for context, qa in some]
        path.write_text(json.dumps({"version": "1.1", "data": [{"paragraphs": kept}]}))
    predictions, out = answers_of_both(
        "squad1.py", shallow, rows, tmp_path,
        f"data.train={folder / 'train-slice.json.xz'}", f"data.dev={few}", "data.max_rows=24",
        f"data.max_length={LENGTH}", f"data.window_step={STEP}", "task.max_query=48",
    )  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(out).eval()
    windows = 0
    for predicted, (context, qa) in zip(predictions, questions, strict=True):
        encoded, answer = their_answer(tokenizer, model, qa["question"], context)
        windows += len(encoded["input_ids"])
        best = predicted["n_best"][0]
        assert (predicted["prediction"], best["start"], best["end"]) == answer
    assert windows > 1.5 * ROWS


def their_answer(tokenizer: Any, model: Any, question: str, context: str):
    """The windows of one question, and its likeliest span: text, first character, end."""
    room = LENGTH - 3 - len(tokenizer(question, add_special_tokens=False)["input_ids"])
    encoded = tokenizer(
        question,
        context,
        max_length=LENGTH,
        truncation="only_second",
        stride=room - STEP,  # what two windows share
        padding="max_length",
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_tensors="pt",
    )
    offsets = encoded.pop("offset_mapping").tolist()
    encoded.pop("overflow_to_sample_mapping")
    with torch.no_grad():
        outputs = model(**encoded)
    # Of the windows that hold a piece, the one where the shorter side of its context is longest.
    held = [
        [i for i, which in enumerate(encoded.sequence_ids(w)) if which == 1]
        for w in range(len(offsets))
    ]
    owner: dict[tuple, tuple[float, int]] = {}
    for w, places in enumerate(held):
        for i in places:
            context_there = min(i - places[0], places[-1] - i) + 0.01 * len(places)
            piece = tuple(offsets[w][i])
            if piece not in owner or context_there > owner[piece][0]:
                owner[piece] = context_there, w
    spans = [
        (
            outputs.start_logits[w, a].item() + outputs.end_logits[w, b].item(),
            offsets[w][a][0],
            offsets[w][b][1],
        )
        for w, places in enumerate(held)
        for a in places
        if owner[tuple(offsets[w][a])][1] == w
        for b in places
        if a <= b < a + ANSWER
    ]
    _, start, end = max(spans)
    return encoded, (context[start:end], start, end)
