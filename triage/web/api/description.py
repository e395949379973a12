"""The description of the interface, and the version."""

from __future__ import annotations

from fastapi import Request

from ... import __version__
from .common import Anyone, Review, router


@router.get("/openapi.json", tags=["this interface"])
def description(request: Request, review: Review, who: Anyone) -> dict[str, object]:
    """Return this interface's description as OpenAPI."""
    described: dict[str, object] = request.app.openapi()
    return described


@router.get("/version", tags=["this interface"])
def version(who: Anyone) -> dict[str, object]:
    """Return the version of triage."""
    return {"version": __version__}
