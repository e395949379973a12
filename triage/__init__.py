"""Rank, screen and stop: abstract triage for systematic reviews."""

__version__ = "0.1.0"
