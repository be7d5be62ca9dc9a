"""Directories that ask their readers to run code, or whose parts are not of one model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import oracle_transformers as oracle
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from bertjax import huggingface
from bertjax.errors import UserError
from bertjax.huggingface.exported_keys import EXPORTED_KEYS
from bertjax.huggingface.weights import write_weights

EVIL = "somebody/evil"
# What transformers 5 and the libraries around it load code or kernels by.
ASKS = {
    "_attn_implementation": EVIL,
    "_attn_implementation_internal": EVIL,
    "_experts_implementation_internal": EVIL,
    "attn_implementation": EVIL,
    "experts_implementation": EVIL,
    "custom_pipelines": {"fill-mask": {"impl": EVIL}},
    "kernel_config": {"RMSNorm": EVIL},
    "use_kernels": True,
    "tokenizer_class": EVIL,
    "_name_or_path": EVIL,
}


def add(file: Path, **fields) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_nothing_that_asks_for_code_passes_from_import_to_export(directory, tmp_path):
    assert not ASKS.keys() & EXPORTED_KEYS
    add(directory / "config.json", **ASKS)
    classes = {"AutoTokenizer": [EVIL, None]}
    add(directory / "tokenizer_config.json", auto_map=classes, tokenizer_class=EVIL)
    add(directory / "tokenizer_config.json", chat_template=EVIL)
    for name in ("modeling.py", "generation_config.json", "chat_template.jinja", "adapter.json"):
        (directory / name).write_text(json.dumps({"auto_map": EVIL}))
    found = huggingface.import_model(directory)
    again = oracle.export(found.cfg, found.params, found.tokenizer, tmp_path / "again")
    files = {file.name: file.read_bytes() for file in again.iterdir()}
    assert files.keys() == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"),
        "README.md",
    }
    assert not [name for name, data in files.items() if b"evil" in data or b"auto_map" in data]
    assert json.loads(files["config.json"]).keys() <= EXPORTED_KEYS
    assert oracle.same_bits(huggingface.import_model(again).params, found.params)


def test_code_beside_the_weights_is_refused(directory):
    add(directory / "config.json", auto_map={"AutoModel": f"{EVIL}--modeling.Evil"})
    with pytest.raises(UserError, match="code of its own, and bertjax runs none"):
        huggingface.import_model(directory)


def test_a_tokenizer_file_of_other_keys_is_refused(directory):
    add(directory / "tokenizer.json", auto_map=EVIL)
    with pytest.raises(UserError, match=r"tokenizer\.json: the tokenizers library"):
        huggingface.import_model(directory)


def test_the_tokenizer_is_bound_to_the_weights(directory, tmp_path):
    weights = directory / "model.safetensors"
    tokenizer = huggingface.import_model(directory).tokenizer
    with safetensors.safe_open(weights, framework="np") as opened:
        assert opened.metadata() == {"format": "pt", "tokenizer_sha256": tokenizer.fingerprint}
    # Two words change their ids, and all else stays: nothing but the hash can tell.
    file = directory / "tokenizer.json"
    content = json.loads(file.read_text())
    vocabulary = content["model"]["vocab"]
    one, other = sorted(word for word in vocabulary if word.isalpha())[:2]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    file.write_text(json.dumps(content))
    with pytest.raises(UserError, match="put the tokenizer of the export back") as caught:
        huggingface.import_model(directory)
    assert tokenizer.fingerprint[:12] in str(caught.value)
    # Who means it saves the weights again, as transformers does: without the binding.
    save_file(load_file(weights), weights, metadata={"format": "pt"})
    assert huggingface.import_model(directory).tokenizer.fingerprint != tokenizer.fingerprint


def test_transformers_reads_weights_that_name_their_tokenizer_and_drops_the_name(
    directory, tmp_path
):
    oracle.load(directory).save_pretrained(tmp_path / "again")
    shutil.copy(directory / "tokenizer.json", tmp_path / "again")
    with safetensors.safe_open(tmp_path / "again" / "model.safetensors", framework="np") as opened:
        assert opened.metadata() == {"format": "pt"}
    assert oracle.same_bits(
        huggingface.import_model(tmp_path / "again").params,
        huggingface.import_model(directory).params,
    )


def test_the_same_weights_are_the_same_bytes(tmp_path):
    """The library orders metadata by chance: of two entries one way in two."""
    tensors = {"b.weight": np.ones((3, 2), np.float32), "a é": np.arange(4, dtype=np.float32)}
    written = set()
    for _ in range(16):
        write_weights(tmp_path / "w.safetensors", tensors, "f" * 64)
        written.add((tmp_path / "w.safetensors").read_bytes())
    assert len(written) == 1
    with safetensors.safe_open(tmp_path / "w.safetensors", "np") as opened:
        assert opened.metadata() == {"format": "pt", "tokenizer_sha256": "f" * 64}
        assert all((opened.get_tensor(name) == tensors[name]).all() for name in tensors)
