"""The files beside a tokenizer, which change what it gives, as transformers' classes read them.

tokenizer_config.json    names of the special tokens, added tokens, and switches of the class:
                         BERT's lower-casing, RoBERTa's space before the first word
special_tokens_map.json  names and added tokens, where tokenizer_config.json lists no added tokens
added_tokens.json        added tokens with their ids, likewise
config.json              the class, where tokenizer_config.json names none

What they say goes into the one `tokenizer.json` that is run, kept and exported. Of two that differ,
tokenizer_config.json is believed before tokenizer.json: so does transformers.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models

from bertjax.errors import UserError
from bertjax.text.tokenizer_files import parse_json, read_bytes
from bertjax.text.word_prefix import set_prefix

ROLES = ("pad", "unk", "cls", "sep", "mask")
_NAMED = (*ROLES, "bos", "eos")

_SWITCHES = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
_GENERIC = ("PreTrainedTokenizer", "TokenizersBackend")  # run a tokenizer.json as it is
_ROBERTA = ("RobertaTokenizer", "XLMRobertaTokenizer", "CamembertTokenizer")
_ROBERTA_TYPES = ("roberta", "roberta-prelayernorm", "xlm-roberta", "camembert")


@dataclass(frozen=True)
class Companions:
    """What the files beside a tokenizer say."""

    source: str = ""
    names: Mapping[str, str] = field(default_factory=dict)  # of special tokens, by role
    tokens: tuple[tuple[int | None, AddedToken], ...] = ()  # with their ids where those are given
    switches: Mapping[str, Any] = field(default_factory=dict)  # of BERT's normalizer
    prefix: bool | None = None  # whether the class adds the space before the first word
    separators: int = 1  # of a pair, where the tokenizer itself has no post-processor

    def switch(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return a `tokenizer.json` with the switches that are given; itself if it has them."""
        normalizer = copy.deepcopy(content.get("normalizer"))
        for step in _bert_normalizers(normalizer):
            step.update(self.switches)
        if normalizer != content.get("normalizer"):
            content = {**content, "normalizer": normalizer}
        return content if self.prefix is None else set_prefix(content, self.prefix)

    def add_to(self, engine: tokenizers.Tokenizer) -> bool:
        """Add the tokens that `engine` lacks, or has otherwise; returns whether there were any.

        Raises UserError if one gets another id than the files give it.
        """
        known = {token.content: token for token in engine.get_added_tokens_decoder().values()}
        named = self.names.values()
        changed = False
        for id, token in self.tokens:
            if token.content in named and engine.token_to_id(token.content) is None:
                continue
            there = known.get(token.content)
            if there is None or (id is not None and _flags(there) != _flags(token)):
                add = engine.add_special_tokens if token.special else engine.add_tokens
                add([token])
                known[token.content] = token
                changed = True
            got = engine.token_to_id(token.content)
            if id not in (None, got):
                raise UserError(
                    f"{self.source}: the added token {token.content!r} has id {id} there, and "
                    f"{got} in the vocabulary: take both files from one save of the tokenizer"
                )
        return changed

    def check_case(self, engine: tokenizers.Tokenizer, source: str) -> None:
        """Raise UserError if lower-casing is asked for otherwise than `engine` does it."""
        wanted = self.switches.get("lowercase")
        if not isinstance(engine.model, models.WordPiece):
            return  # the classes of the others have no such switch
        lowers = engine.normalizer is not None and engine.normalizer.normalize_str("A") == "a"
        if wanted not in (None, lowers):
            raise UserError(
                f"{source} {'lower-cases' if lowers else 'keeps capitals'}, but {self.source} says "
                f"do_lower_case={wanted}: correct the one that is wrong"
            )


def read_companions(path: Path) -> Companions:
    """Read what stands beside the tokenizer file `path`; UserError for what makes no sense."""
    config_file = path.with_name("tokenizer_config.json")
    config, listed = _read(config_file), "added_tokens_decoder"
    kind, roberta = _class_of(config, path)
    added, named, source = config.get(listed), config, config_file
    if added is None:
        named = config | _read(path.with_name("special_tokens_map.json"))
        source = path.with_name("added_tokens.json")
        added = {str(id): text for text, id in _read(source).items()}
    given = {role: named[f"{role}_token"] for role in ROLES if named.get(f"{role}_token")}
    five = {role: _token(value, config_file, special=True) for role, value in given.items()}
    extra = [_token(value, config_file, special=True) for value in _extra(named)]
    with_flags = [five[role] for role, value in given.items() if isinstance(value, dict)]
    special = {token.content for token in (*five.values(), *extra)}
    tokens = [
        *_with_ids(added, source, special),
        *((None, token) for token in (*with_flags, *extra)),
    ]
    generic = kind in _GENERIC and path.suffix == ".json"
    switches = {ours: config[name] for name, ours in _SWITCHES.items() if name in config}
    prefix = config.get("add_prefix_space")
    return Companions(
        str(source if source.exists() else config_file),
        {role: token.content for role, token in five.items()},
        tuple(tokens),
        {} if generic else switches,
        prefix if isinstance(prefix, bool) and not generic else None,
        2 if roberta else 1,
    )


def _class_of(config: dict[str, Any], path: Path) -> tuple[str, bool]:
    """The tokenizer's class, empty if none is named, and whether RoBERTa's rows are its default."""
    model = _read(path.with_name("config.json")) if "tokenizer_class" not in config else {}
    kind = str(config.get("tokenizer_class") or model.get("tokenizer_class") or "")
    kind = kind.removesuffix("Fast")
    return kind, kind in _ROBERTA or (not kind and model.get("model_type") in _ROBERTA_TYPES)


def _read(path: Path) -> dict[str, Any]:
    return parse_json(path, read_bytes(path)) if path.is_file() else {}


def _with_ids(
    added: Any, source: Path, special: Container[str]
) -> Iterator[tuple[int, AddedToken]]:
    """The tokens of added_tokens.json or added_tokens_decoder, in the order of their ids."""
    try:
        by_id = {int(id): value for id, value in added.items()}
    except (AttributeError, TypeError, ValueError):
        raise UserError(
            f"{source}: {str(added)[:60]} does not give every added token an id: copy the file "
            "again"
        ) from None
    for id in sorted(by_id):
        value = by_id[id]
        yield id, _token(value, source, special=isinstance(value, str) and value in special)


def _extra(named: dict[str, Any]) -> Iterator[Any]:
    """Special tokens besides BERT's five, such as markers of entities, in transformers' order."""
    for key, value in named.items():
        own = key.endswith("_token") and key.removesuffix("_token") not in _NAMED
        if own and isinstance(value, str):
            yield value
    for key in ("additional_special_tokens", "extra_special_tokens"):
        given = named.get(key) or ()
        listed = given.values() if isinstance(given, dict) else given
        yield from listed if isinstance(given, list | dict | tuple) else (given,)


def _token(value: Any, source: Path, special: bool = False) -> AddedToken:
    """A token that is given as its text, or as an object with its flags."""
    given = value if isinstance(value, dict) else {"content": value}
    text = given.get("content")
    if not isinstance(text, str) or not text or _HALF_PAIR.search(text):
        raise UserError(f"{source}: {str(value)[:60]} is no added token: copy the file again")
    special = special or given.get("special") is True
    flags = {name: given[name] is True for name in _FLAGS[:4] if name in given}
    return AddedToken(text, special=special, **{"normalized": not special} | flags)


def _flags(token: AddedToken) -> tuple[bool, ...]:
    return tuple(getattr(token, name) for name in _FLAGS)


def _bert_normalizers(normalizer: Any) -> Iterator[dict[str, Any]]:
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        yield normalizer
    elif isinstance(normalizer, dict):
        steps = normalizer.get("normalizers")
        for step in steps if isinstance(steps, list) else ():
            yield from _bert_normalizers(step)
