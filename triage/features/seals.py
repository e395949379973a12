"""Folders of a cache that survive a crash: they hold what was written into them, or count as not there.

A folder is whole when it has a marker, which lists each file with its size and checksum and is the last file to get
its name. Every other file is on the disk by then, and is compared with its checksum before a process first uses it.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import zlib
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from functools import lru_cache
from pathlib import Path

MARKER = "whole"
_AT_ONCE = 1 << 20  # bytes that are read together: files may be larger than the memory
_LEFT_BEHIND_SECONDS = 86_400
_log = logging.getLogger(__name__)  # shown on standard error, one line each


class _Damaged(Exception):
    """A folder does not hold what was written into it."""


def seal(folder: Path) -> None:
    """Make a folder whole, with the files that are in it; it is on the disk when this returns."""
    lines = []
    for file in sorted(folder.iterdir()):
        sync(file)
        lines.append(f"{_checksum(file):08x} {file.stat().st_size} {file.name}\n")
    body = "".join(lines).encode("utf-8")
    unfinished = folder / f"{MARKER}.tmp"
    unfinished.write_bytes(b"%08x\n" % zlib.crc32(body) + body)
    sync(unfinished)
    unfinished.rename(folder / MARKER)
    sync(folder)
    sync(folder.parent)


def files(folder: Path) -> list[Path] | None:
    """Return the files of a whole folder, each compared with its checksum once in a process; None where it is not whole.

    A damaged folder is deleted, which is reported in one line.
    """
    try:
        return _compared(folder)
    except (OSError, ValueError, _Damaged) as error:
        if (folder / MARKER).exists():  # else it was never finished, or another program is deleting it
            _log.warning("The cached %s is damaged (%s); it is made again.", folder, error)
            drop(folder)
        return None


def _compared(folder: Path) -> list[Path]:
    first, _, body = (folder / MARKER).read_bytes().partition(b"\n")
    if not body or first != b"%08x" % zlib.crc32(body):
        raise _Damaged(f"{MARKER} is not as it was written")
    found = []
    for line in body.decode("utf-8").splitlines():
        checksum, size, name = line.split(" ", 2)
        file = folder / name
        if file.stat().st_size != int(size) or _checksum(file) != int(checksum, 16):
            raise _Damaged(f"{name} is not as it was written")
        found.append(file)
    return found


def _checksum(file: Path) -> int:
    state = file.stat()
    return _checksum_of(file, state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _checksum_of(file: Path, inode: int, size: int, changed_at: int) -> int:
    """Return the CRC-32 of a file in one state: against accidents, and about as fast as it can be read."""
    found, buffer = 0, memoryview(bytearray(_AT_ONCE))
    with file.open("rb", buffering=0) as opened:
        while n := opened.readinto(buffer):
            found = zlib.crc32(buffer[:n], found)
    return found


def sync(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk."""
    is_folder = path.is_dir()
    # Windows, and some network drives, cannot do it for a folder.
    with suppress(OSError) if is_folder else nullcontext():
        opened = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def drop(folder: Path) -> None:
    """Delete a folder, its marker first of all, so that nobody takes the rest for whole."""
    with suppress(OSError):
        (folder / MARKER).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def drop_left_behind(paths: Iterable[Path]) -> None:
    """Delete unfinished files and folders that nobody has touched for a day: whatever made them was stopped."""
    for path in paths:
        with suppress(OSError):  # another program may delete it too
            if time.time() - path.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                drop(path) if path.is_dir() else path.unlink()
