"""The description of the interface, and the version."""

from __future__ import annotations

from fastapi import Request

from ... import __version__
from .common import Anyone, Review, router


@router.get("/openapi.json", tags=["this interface"])
def description(request: Request, review: Review, who: Anyone) -> dict:
    """Return this interface's description as OpenAPI."""
    return request.app.openapi()


@router.get("/version", tags=["this interface"])
def version(who: Anyone) -> dict:
    """Return the version of triage."""
    return {"version": __version__}
