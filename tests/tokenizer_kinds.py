"""Tokenizers as people bring them, each a directory, and texts that trip them.

Made by `tokenizers` alone, or trained by bertjax; a model type stands beside each, as AutoTokenizer
wants it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from bertjax.text.tokenizer_training import train_tokenizer

BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SENTENCES = [
    "The old river opened the quiet city near the school.",
    "Don't the readers' books (1990) cost $3.14, e-mail: a_b@c.d? 'Tis so!",
    "The garden was near the house. The famous writer opened it; a naïve café.",
    "我们在北京大学学习中文。 它很大！ русский язык, עברית and हिन्दी.",
    "rivers, cities, houses, gardens, schools, writers, readers and books",
] * 12
TEXTS = [
    "The old river opened the quiet city near the school.",
    "  two  spaces,\ta tab and a trailing space ",
    "a\nline feed. And\r\ntwo\n\n more\u2028lines\u00a0here",
    "the [E1] river [/E1]is old, [E1]x[/E1] rivercity",
    "a [MASK] b <mask>. [SEP] </s> [CLS]<s> [PAD] <unk>",
    "naïve café, Ünïcödé; nai\u0308ve cafe\u0301 İstanbul ｆｕｌｌ　ＴＥＸＴ ½ ﬁne",
    "汉字和日本語のカタカナ。 한국어 русский！ עברית हिन्दी ไทย",
    "emoji 😀👍🏽 and 👩\u200d👩\u200d👧 zero\u200bwidth \u200b \ufeff soft\u00adhyphen",
    "Don't 'll we've  's \"quoted\" (x) --- ... 1,260.5%",
    "## ▁a Ġb Ċ ▁▁",
    "x" * 120,
    "",
    " ",
    "\u200b",
]

words = st.one_of(
    st.sampled_from([*"aB.!?'\"()…。！3é你我\u0301", "The", "river", "Don't", "[E1]", "[MASK]"]),
    st.sampled_from(
        [" ", "  ", "\n", "\t", "\u3000", "\u00a0", "\u200b", ". ", " [/E1]", "<mask>"]
    ),
    st.characters(codec="utf-8", exclude_characters="\0"),
)
texts = st.lists(words, max_size=25).map("".join)


def save(engine: tokenizers.Tokenizer, directory: Path, model_type: str, **config: Any) -> None:
    """Write an engine as transformers would find it, with these fields of tokenizer_config.json."""
    directory.mkdir(parents=True, exist_ok=True)
    engine.save(str(directory / "tokenizer.json"))
    write(directory, config={"model_type": model_type}, tokenizer_config=config)


def write(directory: Path, **files: Any) -> None:
    """Write JSON files by their names without suffix."""
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False)
        (directory / f"{name}.json").write_text(text, encoding="utf-8")


def markers() -> list[AddedToken]:
    """Two markers of entities, and a word of its own."""
    return [
        AddedToken("[E1]", special=True, normalized=False),
        AddedToken("[/E1]", special=True, normalized=False),
        AddedToken("rivercity", special=False, normalized=True),
    ]


def add_markers(engine: tokenizers.Tokenizer) -> None:
    """Add `markers`, each with its flags."""
    for token in markers():
        (engine.add_special_tokens if token.special else engine.add_tokens)([token])


def wordpiece_pieces() -> list[str]:
    """A small vocabulary of words, letters and inner letters."""
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789.,?!'\"()-$%:;@_", *"我们在北京大学中文"]
    known = ["the", "old", "river", "city", "near", "house", "writer", "is", "The", "River", "Don"]
    return [*BERT, *known, *letters, *(f"##{letter}" for letter in letters[:36])]


def wordpiece(lowercase: bool = True) -> tokenizers.Tokenizer:
    """BERT's pipeline with markers of entities."""
    vocabulary = {piece: i for i, piece in enumerate(wordpiece_pieces())}
    engine = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    engine.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece()
    engine.add_special_tokens(BERT)
    add_markers(engine)
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return engine


def byte_level(
    specials: list[str], splitter: pre_tokenizers.PreTokenizer | None = None, prefix: bool = False
) -> tokenizers.Tokenizer:
    """A byte-level BPE; `splitter` stands for GPT-2's pattern where it is given."""
    engine = tokenizers.Tokenizer(models.BPE())
    last = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=splitter is None)
    engine.pre_tokenizer = pre_tokenizers.Sequence([splitter, last]) if splitter else last
    engine.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    engine.train_from_iterator(SENTENCES, trainer)
    return engine


def roberta(prefix: bool = False) -> tokenizers.Tokenizer:
    """RoBERTa's tokenizer: two separators in a pair, a mask that takes the space before it."""
    engine = byte_level(ROBERTA, prefix=prefix)
    engine.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    add_markers(engine)
    engine.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=prefix
    )
    return engine


def modern() -> tokenizers.Tokenizer:
    """Another pattern than GPT-2's, which joins line feeds to stops; BERT's names and rows."""
    pattern = Regex(r" ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    engine = byte_level(BERT, pre_tokenizers.Split(pattern, "isolated"))
    engine.normalizer = normalizers.NFC()
    add_markers(engine)
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return engine


def xlm_roberta() -> tokenizers.Tokenizer:
    """Unigram pieces between spaces, with RoBERTa's names and rows."""
    trained = train_tokenizer("unigram", SENTENCES, 100, lowercase=False)
    pieces = [(trained.token(i), -float(i)) for i in range(5, trained.vocab_size)]
    vocabulary = [*((name, 0.0) for name in ROBERTA[:4]), *pieces, ("<mask>", 0.0)]
    engine = tokenizers.Tokenizer(models.Unigram(vocabulary, 3))
    engine.normalizer = normalizers.NFKC()
    space = pre_tokenizers.Metaspace(prepend_scheme="always")
    engine.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space])
    engine.decoder = decoders.Metaspace(prepend_scheme="always")
    engine.add_special_tokens(ROBERTA[:4])
    engine.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    add_markers(engine)
    engine.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return engine


def vocabulary_file(directory: Path) -> None:
    """`vocab.txt` with what older transformers wrote beside it."""
    directory.mkdir()
    pieces = wordpiece_pieces()
    (directory / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    added = {"[E1]": len(pieces), "[/E1]": len(pieces) + 1, "rivercity": len(pieces) + 2}
    write(
        directory,
        config={"model_type": "bert"},
        tokenizer_config={"tokenizer_class": "BertTokenizer", "do_lower_case": True},
        special_tokens_map={"additional_special_tokens": ["[E1]", "[/E1]"]},
        added_tokens=added,
    )


def merges_files(directory: Path) -> None:
    """`vocab.json` and `merges.txt` with what older transformers wrote beside them."""
    directory.mkdir()
    engine = byte_level(ROBERTA)
    engine.model.save(str(directory))
    mask = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False}
    size = engine.get_vocab_size()
    write(
        directory,
        config={"model_type": "roberta"},
        tokenizer_config={"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False},
        special_tokens_map={"mask_token": mask, "additional_special_tokens": ["[E1]", "[/E1]"]},
        added_tokens={"[E1]": size, "[/E1]": size + 1},
    )


def _trained(kind: str, size: int, lowercase: bool = True) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        train_tokenizer(kind, SENTENCES, size, lowercase=lowercase).save(directory)
        write(directory, config={"model_type": "bert"})

    return make


def _engine(
    make: Callable[..., tokenizers.Tokenizer], model_type: str, *given: bool, **config: Any
) -> Callable[[Path], None]:
    return lambda directory: save(make(*given), directory, model_type, **config)


KINDS: dict[str, Callable[[Path], None]] = {
    "wordpiece": _trained("wordpiece", 250),
    "wordpiece cased": _trained("wordpiece", 250, lowercase=False),
    "unigram": _trained("unigram", 100),
    "bpe": _trained("bpe", 160),
    "bert": _engine(wordpiece, "bert", tokenizer_class="BertTokenizer"),
    "bert vocab.txt": vocabulary_file,
    "roberta": _engine(roberta, "roberta", tokenizer_class="RobertaTokenizer"),
    "roberta with prefix": _engine(
        roberta, "roberta", True, tokenizer_class="RobertaTokenizer", add_prefix_space=True
    ),
    "roberta merges.txt": merges_files,
    "modern": _engine(
        modern,
        "bert",
        tokenizer_class="PreTrainedTokenizerFast",
        **{f"{name.strip('[]').lower()}_token": name for name in BERT},
    ),
    "xlm-roberta": _engine(
        xlm_roberta, "xlm-roberta", tokenizer_class="PreTrainedTokenizerFast", mask_token="<mask>",
        cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
    ),
}  # fmt: skip
