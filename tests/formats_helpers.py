"""What the tests of each format share."""

from pathlib import Path

import pytest

from triage import formats

FILES = Path(__file__).parent / "files"
EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "exports"
needs_exports = pytest.mark.skipif(not EXPORTS.is_dir(), reason="shared/data/exports is not there")


def read(tmp_path, content, name="x.txt", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return formats.read(path, **options)
