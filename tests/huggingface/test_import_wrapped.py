"""The same network under other names: wrappers, configs without a type, XLM-RoBERTa, CamemBERT."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import oracle_transformers as oracle
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface.names import encoder_architecture, hub_names
from bertjax.huggingface.stored_names import canonical
from bertjax.huggingface.weights import StoredTensor

BERT = oracle.random_config(5, num_layers=2, vocab_size=130)
ROBERTA = oracle.random_config(
    5, num_layers=2, vocab_size=130, family="roberta", next_sentence_head=False,
    type_vocab_size=1, position_offset=1,
)  # fmt: skip
CONFIGS = {"bert": BERT, "roberta": ROBERTA}


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, Path]:
    scratch = tmp_path_factory.mktemp("exported")
    tokenizer = oracle.tiny_tokenizer(130, 0, scratch)
    return {
        family: oracle.export(cfg, oracle.random_params(cfg, 5), tokenizer, scratch / family)
        for family, cfg in CONFIGS.items()
    }


def renamed(source: Path, directory: Path, rename, drop: tuple[str, ...] = (), **fields) -> Path:
    """A copy of an export with other names of tensors and fields of its config.json."""
    shutil.copytree(source, directory)
    file = directory / "model.safetensors"
    save_file({rename(name): tensor for name, tensor in load_file(file).items()}, file)
    config = json.loads((directory / "config.json").read_text()) | fields
    kept = {key: value for key, value in config.items() if key not in drop}
    (directory / "config.json").write_text(json.dumps(kept))
    return directory


def bare(name: str) -> str:
    return name.removeprefix("bert.").removeprefix("roberta.")


WRAPPERS = {
    "DataParallel": lambda name: f"module.{name}",
    "torch.compile": lambda name: f"_orig_mod.{name}",
    "both": lambda name: f"_orig_mod.module.{name}",
    "Lightning": lambda name: f"model.{name}",
    "a bare encoder in a class of one's own": lambda name: f"encoder.{bare(name)}",
    "an attribute of its own in the model's": lambda name: f"bert.model.{bare(name)}",
    "sentence-transformers": lambda name: f"0.auto_model.{bare(name)}",
    "each block by itself": lambda name: name.replace(".attention.", "._orig_mod.attention."),
    "FSDP": lambda name: (
        f"_fsdp_wrapped_module.{name.replace('.attention.', '.module.attention.')}"
    ),
    "a teacher beside it": lambda name: name,
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("family", CONFIGS)
def test_wrappers_are_taken_off(family, wrapper, exported, tmp_path) -> None:
    directory = renamed(exported[family], tmp_path / "hf", WRAPPERS[wrapper])
    if wrapper == "a teacher beside it":
        file = directory / "model.safetensors"
        tensors = load_file(file)
        save_file(tensors | {f"teacher.{name}": tensors[name] for name in tensors}, file)
    found, plain = (huggingface.import_model(d) for d in (directory, exported[family]))
    assert found.cfg == plain.cfg == CONFIGS[family] and found.fresh == []
    assert oracle.same_bits(found.params, plain.params)


segments = st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1, max_size=6)


@settings(max_examples=100)
@given(
    st.lists(st.one_of(segments, st.just("module")), max_size=3),
    st.sampled_from(["bert", "roberta"]),
)
def test_any_wrapper_gives_the_names_of_today(outer: list[str], family: str) -> None:
    cfg, prefix = CONFIGS[family], f"{family}."
    lead = "".join(f"{part}." for part in outer if part not in CONFIGS)
    architecture = encoder_architecture(cfg, pooler=True)
    names = [prefix + name for name in hub_names(cfg, architecture).values()]
    for given_names in (names, [bare(name) for name in names]):
        stored = {
            lead + name: StoredTensor(lead + name, Path("f"), (1,), "F32") for name in given_names
        }
        assert sorted(canonical(stored, architecture.system, prefix)) == sorted(names)


@pytest.mark.parametrize(
    ("family", "rename", "dropped"),
    [
        ("bert", lambda name: name, ("model_type",)),
        ("roberta", lambda name: name, ("model_type",)),
        ("bert", lambda name: name, ("model_type", "architectures")),
        ("roberta", lambda name: f"module.{name}", ("model_type", "architectures")),
        ("bert", bare, ("model_type", "architectures")),
        ("roberta", bare, ("model_type", "architectures")),
    ],
)
def test_a_config_without_a_type_is_told_by_class_and_names(
    family, rename, dropped, exported, tmp_path
) -> None:
    directory = renamed(exported[family], tmp_path / "hf", rename, dropped)
    found = huggingface.import_model(directory)
    assert found.cfg == CONFIGS[family]
    assert oracle.same_bits(found.params, huggingface.import_model(exported[family]).params)


def refused(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        huggingface.import_model(directory)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_was_found_is_named_when_it_is_not_the_model(exported, tmp_path) -> None:
    other = renamed(exported["bert"], tmp_path / "a", lambda name: f"module.{name}")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"model_type": "roberta"}))
    message = refused(other)
    assert "first roberta.embeddings.word_embeddings.weight; it holds" in message
    assert "first module.bert.embeddings.LayerNorm.bias" in message

    tensors = load_file(exported["bert"] / "model.safetensors")
    twice = {f"{part}.{bare(n)}": t for n, t in tensors.items() for part in ("query", "context")}
    shutil.copytree(exported["bert"], tmp_path / "b")
    save_file(twice, tmp_path / "b" / "model.safetensors")
    assert "holds several encoders, under 'context.' and 'query.'" in refused(tmp_path / "b")

    headless = {f"x.{bare(n)}": t for n, t in tensors.items() if not n.startswith("cls.")}
    shutil.copytree(exported["bert"], tmp_path / "c")
    save_file(headless, tmp_path / "c" / "model.safetensors")
    fields = {"type_vocab_size": 1}
    kept = {
        key: value for key, value in config.items() if key not in ("model_type", "architectures")
    }
    (tmp_path / "c" / "config.json").write_text(json.dumps(kept | fields))
    message = refused(tmp_path / "c")
    assert "no model_type and no architectures" in message and "'x.embeddings" in message


SIZES: dict[str, Any] = {
    "vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 8, "max_position_embeddings": 24, "type_vocab_size": 1, "pad_token_id": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", ["XLMRoberta", "Camembert"])
def test_robertas_under_other_names_have_its_logits(name, tmp_path) -> None:
    config = getattr(transformers, f"{name}Config")(**SIZES)
    reference = getattr(transformers, f"{name}ForMaskedLM")(config)
    reference.save_pretrained(tmp_path / "lm")
    imported = huggingface.import_model(tmp_path / "lm")
    assert (imported.cfg.family, imported.cfg.max_positions) == ("roberta", 22)
    assert imported.fresh == imported.ignored == []
    batch = oracle.random_batch(imported.cfg, 1, 0)
    ours = oracle.our_logits(imported.cfg, imported.params, batch)
    oracle.assert_same_logits(ours, oracle.their_logits(reference, batch), batch, 1e-5)

    getattr(transformers, f"{name}ForTokenClassification")(config).save_pretrained(tmp_path / "t")
    task = huggingface.import_task_model(tmp_path / "t")
    assert (task.shape.family, task.labels) == ("tagging", ("LABEL_0", "LABEL_1"))


def test_rows_beyond_the_pieces_are_kept_and_never_guessed(exported, tmp_path) -> None:
    from bertjax.predict import fill_mask

    tokenizer = oracle.tiny_tokenizer(100, 0, tmp_path)
    params = oracle.random_params(BERT, 5)
    params["masked_lm"]["bias"][110:120] = 50.0  # rows that no piece has are likeliest
    ((_, guesses),) = fill_mask(BERT, params, tokenizer, "a [MASK] b", top=5)
    assert len(guesses) == 5 and all(guess.piece for guess in guesses)
    out = oracle.export(BERT, params, tokenizer, tmp_path / "hf")
    again = huggingface.import_model(out)
    assert again.cfg.vocab_size == 130 and again.tokenizer is not None
    np.testing.assert_array_equal(again.params["masked_lm"]["bias"], params["masked_lm"]["bias"])
