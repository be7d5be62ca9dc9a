"""Cards of exported models: where a model came from, what it does, and nothing private."""

from __future__ import annotations

import dataclasses
import json
import platform
from pathlib import Path

import oracle_transformers as oracle
import pytest
import yaml
from family import FAMILY

from bertjax import huggingface
from bertjax.huggingface.model_card import scrub


def test_card_says_where_it_came_from_and_nothing_private(tmp_path) -> None:
    cfg = oracle.random_config(1)
    params = oracle.random_params(cfg, 1)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, tmp_path)
    private = f"/home/someone/{platform.node()}/wiki"
    facts = dataclasses.replace(
        oracle.CARD,
        name="runs/my: model",
        config=json.dumps({"data": {"corpus": private, "seed": 3}, "urls": ["gs://b/x?sig=1"]}),
        versions={"jax": "0.10.2"},
        steps=1200,
        tokens=34_567_890,
        results={"masked-LM loss": 2.34567},
        language=("en", "zh"),
        license="apache-2.0",
    )
    out = tmp_path / "hf"
    huggingface.export_model(cfg, params, tokenizer, out, facts, oracle.LINES)
    card = (out / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["license"] == "apache-2.0" and front["language"] == ["en", "zh"]
    assert front["pipeline_tag"] == "fill-mask" and "random-init" not in front["tags"]
    for fact in ("1,200", "34,567,890", "c0ffee", tokenizer.fingerprint, "0.10.2", "2.3457"):
        assert fact in card
    assert '"corpus": "wiki"' in card
    texts = [path for path in out.iterdir() if path.name != "model.safetensors"]
    written = "".join(path.read_text() for path in texts)
    assert "someone" not in written and "sig=" not in written and str(Path.home()) + "/" not in card
    assert "# runs/my: model" in card
    untrained = huggingface.export_model(
        cfg, params, tokenizer, tmp_path / "raw", oracle.CARD, oracle.LINES
    )
    assert "never trained" in (untrained.path / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "fields", "purpose"),
    [
        ("openai-gpt", {}, "text-generation"),
        ("electra", {"replaced_token_head": True}, "feature-extraction"),
        ("electra", {}, "fill-mask"),
    ],
)
def test_a_card_promises_what_the_class_does(name, fields, purpose, tmp_path) -> None:
    """A causal model fills no mask, and neither does one that detects replaced tokens."""
    cfg = oracle.random_config(3, **FAMILY[name] | fields)
    tokenizer = oracle.tiny_tokenizer(cfg.vocab_size, 0, tmp_path)
    out = oracle.export(cfg, oracle.random_params(cfg, 3), tokenizer, tmp_path / "hf")
    front = yaml.safe_load((out / "README.md").read_text().split("---")[1])
    assert front["pipeline_tag"] == purpose


def test_scrub_leaves_words_alone(monkeypatch) -> None:
    monkeypatch.setattr(platform, "node", lambda: "node7.cluster.lan")
    assert scrub("roberta_base, 0.5 and/or 1 / 2") == "roberta_base, 0.5 and/or 1 / 2"
    assert scrub("node7.cluster.lan node7 node77") == "host host node77"
    assert scrub("see ~/a/b, C:\\Users\\x\\c.txt or s3://k@h/p/q?key=1") == "see b, c.txt or q"
    assert scrub("/home/some one/data set/") == "data set"
