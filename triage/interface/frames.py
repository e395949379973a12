"""What the interface reads of its arguments: texts and labels of tables, criteria, shares."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Number
from typing import TYPE_CHECKING

import numpy as np

from ..errors import Faults, InputError
from ..log import Label, label_of, without_quotes
from ..project.database import storable
from ..protocol.model import Criterion, Protocol
from ..ranking import Criteria
from ..ranking.review import criteria_of
from ..records import is_placeholder
from ..wording import plural

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("title", "abstract")
_NUMBERS = (Number, np.bool_)
_LABELS = "a label is 1 or 0, or one of the words include, exclude and maybe"


def texts_of(frame: pd.DataFrame, name: str) -> tuple[list[str], list[str]]:
    """Return the titles and the abstracts of a table, empty where a cell is missing.

    Parameters
    ----------
    frame : DataFrame
    name : str
        What the caller's signature calls the table.

    Raises
    ------
    InputError
        When it is not a table with the two columns, holds no row, or a cell holds something else than text.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise InputError(
            f"{name} must be a pandas DataFrame with the columns title and abstract, and is a {type(frame).__name__}."
        )
    for column in TEXTS:
        times = int((frame.columns == column).sum())
        if times > 1:
            raise InputError(f"{name} has {plural(times, 'column')} named {column!r}; rename or drop all but one.")
        if not times:
            near = [other for other in frame.columns if str(other).strip().casefold() == column]
            advice = (
                f'rename {near[0]!r} by {name}.rename(columns={{{near[0]!r}: "{column}"}})'
                if near
                else f"add one, empty where a record has no {column}"
            )
            raise InputError(f"{name} has no column {column!r}; {advice}.")
    if not len(frame):
        raise InputError(f"{name} holds no records.")
    faults = Faults(name)
    titles, abstracts = (_texts(frame[column], column, faults) for column in TEXTS)
    faults.refuse()
    return titles, ["" if is_placeholder(text) else text for text in abstracts]


def _texts(cells: pd.Series, column: str, faults: Faults) -> list[str]:
    texts = []
    for place, cell in enumerate(cells):
        if isinstance(cell, str):
            texts.append(storable(cell.strip()))
        elif _is_missing(cell):
            texts.append("")
        elif isinstance(cell, Number):
            texts.append(str(cell))
        else:
            faults.add(
                f"row {cells.index[place]!r}",
                f"the {column} is a {type(cell).__name__}",
                "each must be a text, or empty",
            )
    return texts


def labels_of(values: Sequence[object], n: int, name: str, column: str = "") -> np.ndarray:
    """Return labels as numbers.

    Parameters
    ----------
    values : array-like, shape (n,)
        1 and 0 (or True and False) or the words that tables of labels hold (see `log.label_of`); missing
        values, empty texts and -1 mean no label.
    n : int
        How many there must be.
    name : str
        What the caller's signature calls them.
    column : str
        The column that they are from: in one about exclusion ("Excluded") 1 is not a label.

    Returns
    -------
    ndarray of int8, shape (n,)
        1 relevant (maybe counts as relevant, as in a review), 0 not, -1 not labelled.

    Raises
    ------
    InputError
        When there are more or fewer, or one is not a label.
    """
    is_array = hasattr(values, "ndim") or (isinstance(values, Sequence) and not isinstance(values, str))
    if not is_array or getattr(values, "ndim", 1) != 1:
        raise InputError(f"{name} must be a list or an array of one dimension: a label for each record.")
    if len(values) != n:
        raise InputError(
            f"{name} has {len(values):,} labels for {n:,} records; give one for each, None where a label is missing."
        )
    index = getattr(values, "index", None)
    places = range(n) if index is None or callable(index) else index
    y, faults = np.empty(n, np.int8), Faults(name)
    known: dict[object, int] = {}
    for i, value in enumerate(values):
        is_plain = isinstance(value, (str, *_NUMBERS))
        label = known.get(value) if is_plain else None
        if label is None:
            label = _label(value, column)
        if label is None:
            fault = f"{value!r} is not a label" + (f" in a column {column!r}" if column else "")
            faults.add(f"row {places[i]!r}", fault, _LABELS)
            continue
        y[i] = label
        if is_plain:
            known[value] = label
    faults.refuse()
    return y


def _is_missing(cell: object) -> bool:
    import pandas as pd

    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, Number) and bool(pd.isna(cell)))


def _label(value: object, column: str) -> int | None:
    if _is_missing(value):
        return -1
    if isinstance(value, _NUMBERS) and value in (1, 0, -1):
        value = str(int(value))
    if not isinstance(value, str):
        return None
    if without_quotes(value) in ("", "-1"):
        return -1
    label = label_of(value, column)
    return None if label is None else int(label is not Label.EXCLUDE)


def criteria(question: str, include: Sequence[str], exclude: Sequence[str]) -> Criteria:
    """Return the criteria that these texts make, those without a word left out.

    Raises
    ------
    InputError
        When the question is not text, or the others are not lists of texts.
    """
    if not isinstance(question, str):
        raise InputError(f"question must be a text, and is {question!r}.")
    for name, texts in (("include", include), ("exclude", exclude)):
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(t, str) for t in texts):
            raise InputError(f'{name} must be a list of texts, one for each criterion, such as ["Adults."].')
    parts = (tuple(Criterion("", storable(text)) for text in texts) for texts in (include, exclude))
    return criteria_of(Protocol(question=storable(question), include=next(parts), exclude=next(parts)))


def share(name: str, value: float) -> float:
    """Return a target or a confidence.

    Raises
    ------
    InputError
        When it does not lie between 0 and 1.
    """
    if not isinstance(value, Number) or not 0 < value < 1:
        raise InputError(f"{name} must lie between 0 and 1, such as 0.95, and is {value!r}.")
    return float(value)


def one_of(name: str, value: object, values: Sequence[str]) -> None:
    """Refuse a value that an argument cannot have.

    Raises
    ------
    InputError
    """
    if not isinstance(value, str) or value not in values:
        raise InputError(f"{name} must be one of {', '.join(map(repr, values))}, and is {value!r}.")


def preset_of(model: str, device: str) -> str:
    """Return the name of a preset, or the folder of a model, that `ranking.load_preset` is to load.

    Raises
    ------
    InputError
        When it is not text, or there is no such device.
    """
    one_of("device", device, ("auto", "cpu", "cuda"))
    if not isinstance(model, str):
        raise InputError(f"model must be the name of a preset or the folder of a model, and is {model!r}.")
    return model
