"""Files written whole or not at all: a crash half-way leaves what was there before."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, only_new: bool = False) -> Iterator[Path]:
    """Give another path in the same folder to write to; it takes the file's place once the block ends without an error.

    Raises
    ------
    FileExistsError
        With `only_new`, when there is such a file by then, which stays as it is.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp{path.suffix}")
    try:
        yield unfinished
        if only_new:
            put_in_place(unfinished, path)
        else:
            unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def put_in_place(unfinished: Path, path: Path) -> None:
    """Give a finished file its name, in the same folder; what has that name already stays.

    Raises
    ------
    FileExistsError
        When there is one; the unfinished file stays too.
    """
    try:
        os.link(unfinished, path)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # not every file system has a second name for a file
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            unfinished.replace(path)
        except BaseException:
            path.unlink()
            raise
    else:
        unfinished.unlink()
