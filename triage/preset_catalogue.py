"""The catalogue of ranking presets: what models/presets.toml says, and how the help names them.

To add a preset, add its table there. The help of the commands and the protocol's template are made from the tables.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from . import bundled

FOLDER = "FOLDER"  # in the place of an encoder: one must be given


def tables(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return the tables of a TOML file by the presets' names: the bundled file's when none is named.

    A table that is `like` another has the other's keys where it has none of its own.
    """
    with (path or bundled.path("models/presets.toml")).open("rb") as file:
        found = tomllib.load(file)
    return {
        name: {**found.get(table.get("like"), {}), **{key: value for key, value in table.items() if key != "like"}}
        for name, table in found.items()
    }


def in_words() -> str:
    """Return what may be given as a model, in a line: the presets, and a model's folder."""
    named = [
        name + f":{FOLDER}" * (table.get("encoder") == FOLDER) + (f" ({said})" if (said := table.get("note")) else "")
        for name, table in tables().items()
    ]
    return f"{', '.join(named)}, or a model's folder"
