"""What a name in a command or a config stands for: files, directories, data sets, pipes."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from bertjax.errors import UserError
from bertjax.text.account import Account
from bertjax.text.arrow import is_saved
from bertjax.text.layouts import NAMES, Input, is_known, may_hold, settle, suffix_of
from bertjax.text.stored import missing, readable

# Where there are no symbolic links, git and archives leave such files in their place.
_LINK_AS_TEXT = "files that hold a symbolic link's path, which is not followed"


def find_inputs(name: str, field: str, account: Account, layout: str = "") -> list[Input]:
    """What there is to read under a name, in order; what is passed over goes to the account.

    The name is that of a file, a directory (read whole, every symbolic link in it once), a data
    set saved by `datasets` or TFDS, a pipe (`-` is standard input), a pattern such as
    `train-*.parquet`, or `tfds:NAME:SPLIT`. `field`: the one that the text is in, by which JSON
    Lines under the name of text are told. `layout`, if given, is that of all files.

    Raises:
        UserError: there is no such thing, or a directory holds nothing to read.
    """
    path = Path(name)
    if name.startswith("tfds:"):
        return [Input(name, "tfds")]
    if is_saved(path):
        return [Input(name, "saved")]
    if (path / "dataset_info.json").is_file():
        return [Input(f"tfds:{name}", "tfds")]
    if path.is_dir():
        return _of_directory(path, field, account, layout)
    if name == "-" or path.exists():
        return [Input(name, settle(name, field, layout))]
    matches = sorted(glob.glob(name, recursive=True)) if glob.has_magic(name) else []
    if not matches:
        raise missing(name)
    return [found for match in matches for found in find_inputs(match, field, account, layout)]


def _of_directory(directory: Path, field: str, account: Account, layout: str) -> list[Input]:
    found = []
    for path in files_below(directory, account):
        if not layout and not is_known(str(path)):
            kind = f"{suffix_of(str(path)) or 'nameless'} files"
            account.aside[_LINK_AS_TEXT if _is_link_as_text(path) else kind] += 1
            continue
        source = Input(str(path), settle(str(path), field, layout))
        if layout or may_hold(source, field):
            found.append(source)
        else:
            account.aside[f"{NAMES[source.layout]} files without {field!r}"] += 1
    if not found:
        raise UserError(
            f"{directory}: no .txt, .jsonl, .json, .parquet, .arrow, .csv or .tsv file in this "
            "directory (compressed ones too): name files of another suffix one by one"
        )
    return found


def _is_link_as_text(path: Path) -> bool:
    """Whether a file holds nothing but the path of something that is there."""
    if not 0 < path.stat().st_size < 4096:
        return False
    target = path.read_bytes().decode(errors="replace")
    return target.isprintable() and os.path.exists(path.parent / target)


def files_below(directory: Path, account: Account) -> Iterator[Path]:
    """The files in a directory and below it by name, hidden ones aside.

    Directories behind symbolic links are entered as well, each once; a link that leads back to
    where it lies, or nowhere, goes to the account.
    """
    yield from sorted(_walk(directory, {_identity(directory)}, account), key=lambda p: p.parts)


def _walk(directory: Path, seen: set[tuple[int, int]], account: Account) -> Iterator[Path]:
    with readable(str(directory)):
        entries = sorted(directory.iterdir(), key=lambda path: (path.is_symlink(), path.name))
    for path in entries:
        if path.name.startswith("."):
            continue
        if not path.exists():
            account.aside["symbolic links that lead nowhere"] += 1
        elif not path.is_dir():
            yield path
        elif path.is_symlink() and _leads_back(path):
            account.aside["symbolic links that lead back to a directory above"] += 1
        elif (identity := _identity(path)) in seen:
            account.aside["symbolic links to a directory that is read already"] += 1
        else:
            seen.add(identity)
            yield from _walk(path, seen, account)


def _leads_back(link: Path) -> bool:
    target = os.path.realpath(link)
    here = os.path.realpath(link.parent)
    return os.path.commonpath([target, here]) == target


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
