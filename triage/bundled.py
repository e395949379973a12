"""What the package finds around it: its own files, in the wheel or in the clone, the user's cache, the processors."""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """Return the path of a bundled file or folder, such as "models/presets.toml"."""
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.exists() else _PACKAGE.parent / name


def user_cache_dir() -> Path:
    """Return the folder for what can be computed again: `TRIAGE_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("TRIAGE_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("triage", appauthor=False)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
