"""How an encoder runs on this machine: by which library, and in which numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from ...errors import InputError

_OPENVINO_SINCE = 2026  # its year; models are converted through its front end, which changes


@dataclass(frozen=True, slots=True)
class Runtime:
    """What computes vectors.

    Attributes
    ----------
    library : {"openvino", "torch"}
    device : {"cpu", "cuda"}
    precision : {"float32", "bfloat16", "float16", "int8"}
        Of the matrix products; on titles and abstracts every one agrees with float32 to a cosine of .999
        (an empty text in eight bits: .998).
    """

    library: str
    device: str
    precision: str


def fastest_runtime(folder: Path, device: str = "auto") -> Runtime:
    """Return the fastest runtime that is safe for a model on this machine, by what the machine has.

    That a processor knows bfloat16 is not enough: AMX computes in it many times as fast as in float32,
    AMD's units twice, but Intel's AVX-512 without AMX no faster. There eight bits are, by OpenVINO.

    Raises
    ------
    InputError
        When the device is not there.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device}: there are auto, cpu and cuda.")
    # torch takes seconds to import, and its CPU-only builds say so in their version.
    there = device != "cpu" and not metadata.version("torch").endswith("+cpu") and _cuda_is_there()
    if device == "cuda" and not there:
        raise InputError(
            "--device cuda, which the preset heavy asks for too: no CUDA device is there; use --device cpu."
        )
    if there:
        import torch

        return Runtime("torch", "cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    on_torch = fastest_torch()
    able, _ = processor()
    if "avx2" not in able or not _openvino_is_there() or not is_mean_of_tokens(folder):
        return on_torch
    in_int8 = on_torch.precision == "float32" and able & {"avx512_vnni", "avx_vnni"}
    return replace(on_torch, library="openvino", precision="int8" if in_int8 else on_torch.precision)


def fastest_torch() -> Runtime:
    """Return how torch computes fastest on this processor."""
    able, is_intel = processor()
    has_fast_bfloat16 = "amx_bf16" in able or ("avx512_bf16" in able and not is_intel)
    return Runtime("torch", "cpu", "bfloat16" if has_fast_bfloat16 else "float32")


def _openvino_is_there() -> bool:
    try:
        return int(metadata.version("openvino").partition(".")[0]) >= _OPENVINO_SINCE
    except (metadata.PackageNotFoundError, ValueError):
        return False


def _cuda_is_there() -> bool:
    import torch

    return torch.cuda.is_available()


@lru_cache(maxsize=1)
def processor() -> tuple[frozenset[str], bool]:
    """Return the names of what the processor can do, as Linux writes them, and whether Intel made it."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        import torch

        if not hasattr(torch.cpu, "get_capabilities"):
            return frozenset(), False
        able = torch.cpu.get_capabilities()
        return frozenset(name for name, there in able.items() if there is True), "Intel" in str(able.get("cpu_name"))
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return frozenset(flags.split()), "GenuineIntel" in cpuinfo


def is_mean_of_tokens(folder: Path) -> bool:
    """Tell whether a model is a transformer and the mean over its tokens, with nothing before or after."""
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [module["type"].rpartition(".")[2] for module in modules]
        pooling = json.loads((folder / modules[1]["path"] / "config.json").read_text(encoding="utf-8"))
        settings = folder / "config_sentence_transformers.json"
        prompt = (
            json.loads(settings.read_text(encoding="utf-8")).get("default_prompt_name") if settings.exists() else None
        )
        modes = pooling.get(
            "pooling_mode", [name for name in pooling if name.startswith("pooling_mode_") and pooling[name]]
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return False
    return (
        kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and modes in ("mean", ["mean"], ["pooling_mode_mean_tokens"])
        and not prompt
        and pooling.get("include_prompt", True)
    )
