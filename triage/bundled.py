"""Where the files that come with the package are: inside the wheel, or in the clone."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def path(name: str) -> Path:
    """Return the path of a bundled file or folder, such as "models/presets.toml"."""
    installed = _PACKAGE / "_bundled" / name
    return installed if installed.exists() else _PACKAGE.parent / name
