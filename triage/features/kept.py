"""Views kept on disk, so that they are made once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import seals
from .terms import New


class KeptViews:
    """Views of the same texts in files of their own, mapped into memory and not read.

    Each view is a folder of arrays (see `seals`): a crash, or two programs at once, leave none that is half made,
    and what is damaged counts as not there. Those of other texts stay while they are the last few used: a review has
    several stages.

    Parameters
    ----------
    cache_dir : Path or None
    fingerprint : str
        Of the texts; without one, or without a folder, arrays are made in memory only.
    """

    _VERSION = 2  # counted up when a view is made in another way
    _MOST = 3  # of one view

    def __init__(self, cache_dir: Path | None, fingerprint: str) -> None:
        self.folder = None if cache_dir is None or not fingerprint else cache_dir / "views"
        self._fingerprint = fingerprint
        if self.folder is not None:
            with _written(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """Return a view's arrays; None when it was not kept, or is damaged."""
        if self.folder is None:
            return None
        for marker in self.folder.glob(f"{self._named(name)}.*/{seals.MARKER}"):
            try:
                arrays = {file.stem: np.load(file, mmap_mode="r") for file in seals.files(marker.parent) or ()}
            except OSError:  # another program has just deleted it
                continue
            if arrays:
                with suppress(OSError):  # where the cache may only be read
                    marker.touch()
                return arrays
        return None

    def _named(self, name: str) -> str:
        return f"{name}.{self._VERSION}-{self._fingerprint}"

    @contextmanager
    def make(self, name: str) -> Iterator[New]:
        """Give what makes a view's arrays; they are kept when the block ends well."""
        if self.folder is None:
            yield lambda _, shape, dtype: np.empty(shape, dtype)
            return
        with _written(self.folder):
            made = Path(tempfile.mkdtemp(prefix=f"{self._named(name)}.", dir=self.folder))
            arrays = []

            def new(name: str, shape: tuple[int, ...], dtype: type | np.dtype) -> np.ndarray:
                arrays.append(new_array(made / f"{name}.npy", shape, dtype))
                return arrays[-1]

            try:
                yield new
                for array in arrays:
                    if isinstance(array, np.memmap):
                        array.flush()
                seals.seal(made)
            except BaseException:
                seals.drop(made)
                raise
        self._drop_old(name, made)

    def _drop_old(self, name: str, made: Path) -> None:
        if self.folder is None:
            return
        used, unfinished = {}, []
        for other in self.folder.glob(f"{name}.*"):
            try:
                used[other] = (other / seals.MARKER).stat().st_mtime
            except OSError:  # being made by another program, or left by one that was stopped
                unfinished.append(other)
        used.pop(made, None)
        for other in sorted(used, key=used.__getitem__, reverse=True)[self._MOST - 1 :]:
            seals.drop(other)
        seals.drop_left_behind(unfinished)


def new_array(path: Path, shape: tuple[int, ...], dtype: type | np.dtype) -> np.ndarray:
    """Make a file of an array that is mapped into memory."""
    if not int(np.prod(shape)):  # nothing can be mapped of no bytes
        np.save(path, np.empty(shape, dtype))
        return np.empty(shape, dtype)
    made = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):  # a disk that is full must say so here, not kill the program later
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return made


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The cache {folder.parent} cannot be written ({error.strerror}); make room, or make the folder writable."
        ) from error
