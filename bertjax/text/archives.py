"""Archives that hold the one file that is read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from bertjax.errors import UserError

_OFFICE = ("[Content_Types].xml", "META-INF/manifest.xml")  # in .xlsx and .docx; .ods and .odt


@contextmanager
def archive_errors(name: str) -> Iterator[None]:
    """Turn what zipfile raises into one line: of a damaged directory, exceptions of many kinds."""
    try:
        yield
    except (UserError, OSError):
        raise
    except (RuntimeError, NotImplementedError) as error:  # a password, a rare compression
        raise UserError(f"{name}: {error}: unpack it by hand") from None
    except Exception as error:
        raise zipfile.BadZipFile(str(error)) from None


def only_member(name: str, archive: zipfile.ZipFile) -> str:
    """The name of the one file in an archive; UserError where there is none or there are more."""
    if any(info.filename in _OFFICE for info in archive.infolist()):
        raise UserError(
            f"{name}: a workbook or document of an office program, whatever its name says: save "
            "the sheet as CSV, or the text as .txt"
        )
    names = [
        info.filename
        for info in archive.infolist()
        if not (
            info.is_dir()
            or info.filename.startswith("__MACOSX/")
            or PurePath(info.filename).name.startswith(".")
        )
    ]
    if len(names) != 1:
        raise UserError(
            f"{name}: an archive of {len(names)} files ({', '.join(names[:3])}): unpack it and "
            "name those to read"
        )
    return names[0]
