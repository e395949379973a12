"""Rankings: the newest of each stage with its scores, the older ones by what makes them again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sqlalchemy import insert, select, update

from ..ranking.scores import Ranking
from .database import Database, next_id, now
from .schema import rankings as _rankings


class Rankings:
    """The rankings of a review's stages.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, stage: str, ranking: Ranking) -> int:
        """Save a ranking and return its id.

        Of older rankings the parameters stay and the scores go: they can be made again from the log
        up to `as_of`, and a review makes thousands.
        """
        blob = b"".join(
            (
                ranking.record_ids.astype("<i8").tobytes(),
                ranking.scores.astype("<f4").tobytes(),
                ranking.held_out.astype("<f4").tobytes(),
            )
        )
        with self._database.write() as connection:
            connection.execute(
                update(_rankings).where(_rankings.c.stage == stage, _rankings.c.scores.is_not(None)).values(scores=None)
            )
            ranking_id = next_id(connection, _rankings.c.id)
            connection.execute(
                insert(_rankings).values(
                    id=ranking_id,
                    stage=stage,
                    as_of=ranking.as_of,
                    model=json.dumps(ranking.model),
                    at=now(),
                    scores=blob,
                )
            )
            return ranking_id

    def models(self, stage: str) -> list[dict[str, Any]]:
        """Return the models, name and parameters, that ever ranked a stage."""
        with self._database.read() as connection:
            models = connection.execute(
                select(_rankings.c.model).where(_rankings.c.stage == stage).distinct()
            ).scalars()
            return [json.loads(model) for model in models]

    def newest(self, stage: str) -> Ranking | None:
        """Return the newest ranking of a stage, or None."""
        query = (
            select(_rankings)
            .where(_rankings.c.stage == stage, _rankings.c.scores.is_not(None))
            .order_by(_rankings.c.id.desc())
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        n = len(row.scores) // 16
        return Ranking(
            row.as_of,
            json.loads(row.model),
            np.frombuffer(row.scores, "<i8", n),
            np.frombuffer(row.scores, "<f4", n, offset=8 * n),
            np.frombuffer(row.scores, "<f4", n, offset=12 * n),
            row.id,
        )
