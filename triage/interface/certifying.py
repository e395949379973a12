"""The certificate of a plain history, of whatever program it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import recall
from ..errors import Faults, InputError
from ..log import History, Origin
from ..recall import AuditE, Certificate
from .frames import labels_of, share

_ORIGINS = f"one of {', '.join(Origin)}, or True for a random draw and False for any other"


def certificate(
    history: History | Sequence[object],
    origins: Sequence[object] | None = None,
    *,
    n_records: int | None = None,
    records: Sequence[object] | None = None,
    target: float = 0.95,
    confidence: float = 0.95,
    parameters: AuditE | None = None,
) -> Certificate:
    """Return what random draws prove about recall, whatever ranked the other records.

    At any look, and at all looks together, the bound is wrong with a probability of 1 - confidence at most. This holds
    if each record that is said to be a random draw was drawn with equal chances from all that had not been shown
    before, if every draw is in the history, labelled or not, and if target, confidence and weights were settled
    beforehand. The recall is that of these labels among these records.

    Parameters
    ----------
    history : History or array-like, shape (n_shown,)
        That of a review (`Review.history`); or the labels in the order in which the records were first shown: 1
        relevant, 0 not; None, NaN or -1 for a record that was shown and has no label yet.
    origins : array-like, shape (n_shown,)
        How each record came to be shown: "audit" or True for a random draw; "ranked" (or "prior", "chosen",
        "imported") or False for any other. Not wanted beside a History.
    n_records : int
        All records, shown or not. Not wanted beside a History.
    records : array-like, shape (n_shown,), optional
        Their names, to make sure that none is in the history twice.
    target, confidence : float
    parameters : AuditE, optional
        The weights of the evidence; those of a new review when left out.

    Returns
    -------
    Certificate
        With `recall_lower`, `missed_upper`, `relevant_upper`, `audit_draws` and `certified`.

    Raises
    ------
    InputError
        When the arrays do not belong together, hold something else, or name a record twice.

    Examples
    --------
    Of 1,000 records a ranking put 20 first, all relevant; then 350 were drawn at random, none of them relevant.

    >>> from triage import certificate
    >>> labels = [1] * 20 + [0] * 350
    >>> random_draw = [False] * 20 + [True] * 350
    >>> found = certificate(labels, random_draw, n_records=1_000, target=0.7)
    >>> found.certified, found.missed_upper, round(found.recall_lower, 3)
    (True, 8, 0.714)
    """
    target, confidence = share("target", target), share("confidence", confidence)
    if isinstance(history, History):
        if origins is not None or n_records is not None or records is not None:
            raise InputError("A History says all about itself; leave origins, n_records and records out.")
    else:
        history = _history(history, origins, n_records, records)
    return recall.certificate(history, target, confidence, AuditE() if parameters is None else parameters)


def _history(
    labels: Sequence[object], origins: Sequence[object] | None, n_records: int | None, records: Sequence[object] | None
) -> History:
    if origins is None:
        raise InputError(f"Say in origins how each record came to be shown: {_ORIGINS}.")
    if isinstance(n_records, bool) or not isinstance(n_records, (int, np.integer)):
        raise InputError("Say in n_records how many records there are, shown or not.")
    shown = len(origins)
    y = labels_of(labels, shown, "labels")
    if n_records < shown:
        raise InputError(f"n_records is {n_records:,}, and {shown:,} records were shown; count all, shown or not.")
    faults, came = Faults("origins"), []
    for place, origin in enumerate(origins):
        if isinstance(origin, bool | np.bool_):
            came.append(Origin.AUDIT if origin else Origin.RANKED)
        elif isinstance(origin, str) and origin in set(Origin):
            came.append(Origin(origin))
        else:
            faults.add(f"place {place}", f"{origin!r} is not an origin", f"give {_ORIGINS}")
    faults.refuse()
    if records is not None:
        if len(records) != shown:
            raise InputError(f"records has {len(records):,} names for {shown:,} origins; give one for each.")
        seen: dict[object, int] = {}
        for place, name in enumerate(records):
            if seen.setdefault(name, place) != place:
                raise InputError(
                    f"records has {name!r} at the places {seen[name]} and {place}; keep the first, with its newest "
                    "label."
                )
    return History.of(range(shown), y.tolist(), came, n_records=int(n_records))
