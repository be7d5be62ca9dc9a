"""A vocabulary of letters, and a corpus of two hundred documents in it."""

from pathlib import Path

import pytest
from tiny_text import VOCAB, build, random_documents, write_text

from bertjax.data import writer
from bertjax.text import sources


@pytest.fixture(scope="session")
def vocab(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    path.write_text("\n".join(VOCAB) + "\n")
    return path


@pytest.fixture
def small_chunks(monkeypatch) -> None:
    monkeypatch.setattr(sources, "CHUNK_BYTES", 600)


@pytest.fixture(scope="session")
def built(vocab, tmp_path_factory) -> tuple[Path, list[str]]:
    """A corpus, and the documents it was made from."""
    root = tmp_path_factory.mktemp("built")
    texts = random_documents(200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "CHUNK_BYTES", 600)
        patch.setattr(writer, "SHARD_BYTES", 4000)
        build(root / "corpus", [write_text(root / "a.txt", texts)], vocab, held_out=0.2)
    return root / "corpus", texts
