"""Opening a corpus: every byte of it counts."""

import json
import random
from pathlib import Path

import pytest
from tiny_text import contents

from bertjax.data import manifest
from bertjax.data.corpus import (
    open_corpus,
    verify_corpus,
)
from bertjax.errors import UserError


def test_every_flipped_bit_is_found(built, tmp_path) -> None:
    path, _ = built
    verify_corpus(path)
    good = manifest.read(path)[1]
    rng = random.Random(1)
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        data = file.read_bytes()
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(flipped)
        try:
            if file.name == "manifest.json":
                assert manifest_differs(path, good)
            else:
                with pytest.raises(UserError, match=f"{file.name}: its bytes differ"):
                    verify_corpus(path)
                if file.parent.name == "train":
                    with pytest.raises(UserError, match=f"{file.name}: its bytes differ"):
                        open_corpus(path, "train")
                    open_corpus(path, "validation")
            file.write_bytes(data[: len(data) // 2])
            with pytest.raises(UserError, match=file.name):
                open_corpus(path, "train", verify=False)
            file.unlink()
            with pytest.raises(UserError, match=file.name):
                open_corpus(path, "validation", verify=False)
        finally:
            file.write_bytes(data)
    verify_corpus(path)


def manifest_differs(path: Path, identity: str) -> bool:
    """A changed manifest is refused, or names another corpus."""
    try:
        return manifest.read(path)[1] != identity
    except UserError as error:
        return "manifest.json" in str(error)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}, "leads out of the directory"),
        ({"files": []}, "damaged"),
        ({"special": {"pad": 0}}, "damaged"),
        ({"vocab_size": "many"}, "damaged"),
        ({"vocab_size": 70000}, r"tokens.bin: "),
        ({"splits": {"train": {"documents": 1, "sentences": 1, "tokens": 1}}}, "counts uint16.1."),
    ],
)
def test_edited_manifest_is_refused(built, tmp_path, edit: dict, message: str) -> None:
    for name, data in contents(built[0]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    content = json.loads((tmp_path / "manifest.json").read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps({**content, **edit}))
    with pytest.raises(UserError, match=message) as caught:
        open_corpus(tmp_path, "train")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
