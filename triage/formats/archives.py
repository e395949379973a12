"""Zip archives that hold records: recognized, and never unpacked past a limit."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

_OTHERS = (
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a presentation"),
    ("content.xml", "an OpenDocument file"),
    ("xl/workbook.bin", "a binary Excel workbook; save it as .xlsx"),
)
_CHUNK = 2**20
# Tables of records pack 5- to 50-fold, what is made to fill a memory a thousandfold.
_FOLD = 500
_ANY_FOLD = 2**26  # bytes up to which it does not matter


def opened(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises
    ------
    InputError
        When it is not one, or is damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path} cannot be read as an Excel workbook or ASReview project ({error}).") from error


def kind_of_zip(path: Path, readable: str) -> str:
    """Return the format of a file that begins as a zip archive: xlsx or asreview.

    Raises
    ------
    InputError
        When it is neither.
    """
    with opened(path) as archive:
        names = set(archive.namelist())
    if "project.json" in names:
        return "asreview"
    if "xl/workbook.xml" in names:
        return "xlsx"
    archive_of_files = "a zip archive; unpack it and give the exports in it"
    kind = next((kind for name, kind in _OTHERS if name in names), archive_of_files)
    raise InputError(f"{path} is {kind}. It is not an export by itself; give {readable}.")


def inflated(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member's bytes in chunks, as many as there really are, whatever size the archive claims.

    Raises
    ------
    InputError
        When it is damaged, encrypted or packed in a way that no workbook uses.
    """
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(f"{path} is encrypted or packed in an unusual way; save it again without a password.")
    file, taken, made = archive.fp, 0, 0
    if file is None:
        raise ValueError(f"{path} is closed")
    try:
        file.seek(info.header_offset + 26)
        sizes = file.read(4)
        file.seek(int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little"), 1)
        left = info.compress_size
        unpack = zlib.decompressobj(-15) if info.compress_type == zipfile.ZIP_DEFLATED else None
        while left > 0 and (raw := file.read(min(left, _CHUNK // 16))):
            left -= len(raw)
            taken += len(raw)
            if unpack is None:
                yield raw
                continue
            while raw:
                chunk = unpack.decompress(raw, _CHUNK)
                made += len(chunk)
                if made > max(_FOLD * taken, _ANY_FOLD):
                    raise InputError(
                        f"{path} unpacks more than {_FOLD}-fold, as no workbook or project of records does; "
                        f"it is not read."
                    )
                yield chunk
                raw = unpack.unconsumed_tail
    except (zlib.error, OSError) as error:
        raise InputError(f"{path} is damaged: {info.filename} in it cannot be unpacked ({error}).") from error


def extract(path: Path, archive: zipfile.ZipFile, name: str, to: Path, limit: int) -> None:
    """Unpack one member to a path of our own, up to a limit.

    Raises
    ------
    InputError
        When it is missing, damaged, or larger than the limit.
    """
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise InputError(f"{path} lacks {name}, which its kind holds; export it again.") from error
    size = 0
    with to.open("wb") as file:
        for chunk in inflated(path, archive, info):
            size += len(chunk)
            if size > limit:
                raise InputError(f"{path} unpacks to more than {limit >> 20:,} MiB; it is not a project of a review.")
            file.write(chunk)
