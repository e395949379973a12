"""Presets: which views a ranking is made of, and how their scores are blended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import preset_catalogue
from ..errors import InputError


@dataclass(frozen=True, slots=True)
class Criteria:
    """What the ranking reads of a protocol: the question, and each criterion as a text."""

    question: str = ""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Score:
    """One term of a blend: a view, the cost C of the machine that scores it, and its weight.

    Attributes
    ----------
    view : str
    C, weight : float
    presumed : int
        Records that the machine presumes irrelevant until they are judged.
    """

    view: str
    C: float
    weight: float
    presumed: int = 0


@dataclass(frozen=True, slots=True)
class Preset:
    """A ranking model as data; every number's source is given in models/presets.toml."""

    name: str
    scores: tuple[Score, ...]
    balance: float
    rank_weight: float
    criteria_weight: float
    criteria_fade: float = 0.0
    criteria: Mapping[str, float] = field(default_factory=dict)
    encoder: str = "all-minilm-l6-v2"
    brief: int = 0
    machine_weight: float = 0.3
    device: str = "auto"

    @property
    def views(self) -> tuple[str, ...]:
        """The views that the blend reads, each once."""
        return tuple(dict.fromkeys(score.view for score in self.scores))

    def by_words(self) -> Preset:
        """Return the blend without sentence embeddings, to begin with while they are computed."""
        scores = tuple(score for score in self.scores if score.view != "embedding")
        return replace(self, name=f"{self.name}, by words", scores=scores, encoder="")

    def parameters(self) -> dict[str, object]:
        """Return the name and every parameter, fit for JSON: a ranking's provenance.

        Without the device: it changes the time that vectors take, and no more than their rounding.
        """
        parameters = {**asdict(self), "scores": [asdict(score) for score in self.scores]}
        del parameters["device"]
        return parameters


def presets(path: Path | None = None) -> dict[str, Preset]:
    """Return the presets of a TOML file by name, without a folder: the bundled ones when no file is named."""
    return {name: _preset(name, table, "") for name, table in preset_catalogue.tables(path).items()}


def _preset(name: str, table: Mapping[str, Any], folder: str) -> Preset:
    """Return the preset of a table; where it names no encoder, a folder's or no sentence embeddings."""
    scores = tuple(Score(**score) for score in table["scores"])
    settings = {key: value for key, value in table.items() if key not in ("scores", "note")}
    if folder:
        name, settings["encoder"] = f"{name} with {Path(folder).name}", folder
    elif settings.get("encoder") == "":
        scores = tuple(score for score in scores if score.view != "embedding")
    return Preset(name=name, scores=scores, **settings)


def load_preset(name: str) -> Preset:
    """Return a preset by its name; `default`, or another as NAME:FOLDER, with the encoder of a model's folder.

    Raises
    ------
    InputError
        When `name` is neither a preset nor a folder, or the preset needs a folder.
    """
    tables = preset_catalogue.tables()
    before, _, folder = name.partition(":")
    if before in tables and "embedding" not in {score["view"] for score in tables[before]["scores"]} and folder:
        raise InputError(
            f"The preset {before} reads no sentence embeddings, so it takes no folder; write --model {before}."
        )
    if before in tables and folder:
        if not Path(folder).is_dir():
            raise InputError(f"There is no folder {folder} of a model ({name}).")
        return _preset(before, tables[before], folder)
    if name in tables:
        if tables[name].get("encoder") == preset_catalogue.FOLDER:
            raise InputError(f"The preset {name} needs the folder of an encoder: write --model {name}:FOLDER.")
        return _preset(name, tables[name], "")
    if Path(name).is_dir():
        return _preset("default", tables["default"], str(Path(name)))
    raise InputError(
        f"There is no model preset {name!r}, nor a folder of that name; the presets are {', '.join(tables)}."
    )
