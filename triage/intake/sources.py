"""What the sources of a review are called."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError
from ..project import Project


def rename_sources(project: Project, changes: Sequence[str], *, reviewer: str) -> int:
    """Name sources anew, all of them or none; return for how many files.

    Parameters
    ----------
    project : Project
    changes : sequence of str
        Each OLD=NEW; OLD is a source, or the number of one file.
    reviewer : str

    Raises
    ------
    InputError
        When one of them is not of that form, or there is no such source or file.
    """
    files = project.snapshot().files
    wanted: dict[int, str] = {}
    for change in changes:
        old, equals, new = change.rpartition("=")
        old, new = old.strip(), " ".join(new.split())
        if not (old and equals and new):
            raise InputError(f"--rename {change!r} should be OLD=NEW, such as pubmed_2=PubMed.")
        named = [file for file in files if file.source == old] or [f for f in files if str(f.id) == old]
        if not named:
            known = ", ".join(sorted({repr(file.source) for file in files})) or "none yet"
            raise InputError(f"There is no source {old!r} and no file of that number; the sources are: {known}.")
        wanted |= {file.id: new for file in named}
    changed = {file.id: wanted[file.id] for file in files if wanted.get(file.id, file.source) != file.source}
    with project.turn():
        for file_id, source in changed.items():
            project.log.name_source(file_id, source, reviewer=reviewer)
    return len(changed)
