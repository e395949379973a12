"""Encoding by OpenVINO: the model converted once, and kept beside the vectors."""

from __future__ import annotations

import csv
import shutil
import tempfile
import warnings
from contextlib import suppress
from importlib import metadata
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, cast

import numpy as np

from ... import bundled
from .. import seals
from ..views import of_length_one
from .on_torch import sentence_transformer
from .runtime import Runtime
from .tokens import LONGEST, MOST_WORKERS, PROCESSOR_TOKENS, TokenEncoder, fast_tokenizer, quiet

if TYPE_CHECKING:
    import openvino
    import torch
    from tokenizers import Tokenizer

_GROUPS = (96, 64, 32)  # numbers that share a scale in eight bits; wider is faster, and rounds more
_AGREES = 0.999  # the least cosine to float32
_CONVERSION = 2  # counted up when models are converted, or kept, in another way


def openvino_encoder(folder: Path, digest: str, runtime: Runtime, max_tokens: int, prompt: str = "") -> TokenEncoder:
    """Load a model in OpenVINO's form from the user's cache; it is converted the first time.

    Neither torch nor sentence-transformers is imported for a model that is there.

    Raises
    ------
    RuntimeError
        When OpenVINO cannot compute the model, or computes something else than torch does.
    """
    import openvino
    from tokenizers import Tokenizer

    name = f"{digest[:24]}-{runtime.precision}-openvino-{metadata.version('openvino')}-{_CONVERSION}"
    home = bundled.user_cache_dir() / "models" / name
    model = None
    if seals.files(home):
        with suppress(OSError, RuntimeError):  # deleted meanwhile, or of no use to this OpenVINO
            described = (home / "tokenizer.json").read_text(encoding="utf-8")
            model = openvino.Core().read_model(home / "model.xml")
    if model is None:
        model, described = _converted(folder, digest, runtime)
        _keep(home, model, described)
    return _openvino_runner(model, Tokenizer.from_str(described), max_tokens, prompt)


def _keep(home: Path, model: openvino.Model, tokenizer: str) -> None:
    """Save a converted model as one folder, at once; where that cannot be it is converted each time."""
    import openvino

    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        seals.drop_left_behind(home.parent.glob("unfinished-*"))
        made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home.parent))
    except OSError:
        return
    try:
        openvino.save_model(model, made / "model.xml", compress_to_fp16=False)
        (made / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        seals.seal(made)
        seals.drop(home)
        made.rename(home)
        seals.sync(home.parent)
    except (OSError, RuntimeError):
        shutil.rmtree(made, ignore_errors=True)


def _converted(folder: Path, digest: str, runtime: Runtime) -> tuple[openvino.Model, str]:
    """Convert a model by tracing it, in the wanted precision if it agrees with torch in float32, else in float32.

    Returns
    -------
    model : openvino.Model
    tokenizer : str
        As JSON, with the lengths to cut and what to pad with.
    """
    from tokenizers import Tokenizer

    exact = sentence_transformer(folder, digest, Runtime("torch", "cpu", "float32"))
    tokenizer = fast_tokenizer(exact.tokenizer, exact.get_max_seq_length() or LONGEST)
    if tokenizer is None:
        raise RuntimeError("a tokenizer of its own kind")
    described = tokenizer.to_str()
    texts = _sample_texts()
    expected = of_length_one(exact.encode(texts, show_progress_bar=False))
    for precision in dict.fromkeys((runtime.precision, "float32")):
        model = _traced(cast("torch.nn.Module", exact[0].auto_model))
        group = _to_int8(model) if precision == "int8" else 0
        model.set_rt_info("bf16" if precision == "bfloat16" else "f32", ["triage", "precision"])
        model.set_rt_info(str(group), ["triage", "group"])
        run = _openvino_runner(model, Tokenizer.from_str(described), LONGEST)
        made = of_length_one(run(texts, lambda done: None))
        if (made * expected).sum(axis=1).min() >= _AGREES:
            return model, described
    raise RuntimeError("the converted model computes other vectors than the model")


def _sample_texts() -> list[str]:
    """Return texts to compare runtimes on: abstracts and titles of the demonstration."""
    with bundled.path("data/demo/web_of_science.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(islice(csv.DictReader(file), 40))
    whole = [f"{row['Article Title']} {row['Abstract']}" for row in rows[:20]]
    return [*whole, *(row["Article Title"] for row in rows[20:])]


def _traced(transformer: torch.nn.Module) -> openvino.Model:
    """Return a transformer and the mean over its tokens as an OpenVINO model of ids and mask.

    By the front end itself: `openvino.convert_model` reports its use over the network.
    """
    import openvino
    import torch
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class MeanOfTokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            tokens = self.transformer(input_ids=ids, attention_mask=mask, return_dict=False)[0]
            weight = mask.unsqueeze(-1).to(tokens.dtype)
            mean: torch.Tensor = (tokens * weight).sum(1) / weight.sum(1)
            return mean

    ids = torch.full((2, 7), 5)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    with warnings.catch_warnings(), quiet(), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing: what it freezes is compared with the model afterwards
        decoder = TorchScriptPythonDecoder(MeanOfTokens().eval(), example_input=(ids, mask))
        front_end = FrontEndManager().load_by_framework("pytorch")
        model = front_end.convert(front_end.load(decoder))
    for given in model.inputs:
        given.get_node().set_element_type(openvino.Type.i64)
        given.get_node().set_partial_shape(openvino.PartialShape([-1, -1]))
    model.validate_nodes_and_infer_types()
    return model


def _to_int8(model: openvino.Model) -> int:
    """Put the weights of a traced model into eight bits, in groups with a scale each; return a group's length.

    OpenVINO then rounds what is multiplied with them in groups as long. The projection to the values
    of attention stays: its errors go into the vector undamped, and of all products it is the most
    sensitive and one of the smallest.
    """
    import openvino
    from openvino import opset13 as operations

    products, values = [], set()
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "ScaledDotProductAttention":
            source = node.input_value(2).get_node()
            while source.get_type_name() in ("Transpose", "Reshape", "Add"):
                source = source.input_value(0).get_node()
            values.add(source.get_friendly_name())
        elif kind == "MatMul" and node.get_attributes()["transpose_b"]:
            weight = node.input_value(1).get_node()
            if weight.get_type_name() == "Constant" and len(weight.get_output_shape(0)) == 2:
                products.append((node, weight.get_data()))
    group = next((n for n in _GROUPS if all(weight.shape[1] % n == 0 for _, weight in products)), 0)
    for node, weight in products if group else ():
        if node.get_friendly_name() in values:
            continue
        grouped = weight.reshape(len(weight), -1, group)
        scale = np.maximum(np.abs(grouped).max(axis=2, keepdims=True) / 127, np.finfo(np.float32).tiny)
        rounded = operations.constant(np.rint(grouped / scale).astype(np.int8), dtype=openvino.Type.i8)
        restored = operations.multiply(
            operations.convert(rounded, "f32"), operations.constant(scale.astype(np.float32))
        )
        shaped = operations.reshape(restored, operations.constant(np.array(weight.shape)), False)
        node.input(1).replace_source_output(shaped.output(0))
    model.validate_nodes_and_infer_types()
    return group


def _openvino_runner(model: openvino.Model, tokenizer: Tokenizer, max_tokens: int, prompt: str = "") -> TokenEncoder:
    import openvino

    workers = min(bundled.processors(), MOST_WORKERS)
    compiled = openvino.Core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": model.get_rt_info(["triage", "precision"]).astype(str),
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": int(model.get_rt_info(["triage", "group"]).astype(str)),
            "NUM_STREAMS": workers,
            "ENABLE_CPU_PINNING": False,  # a pinned thread waits for its core while others are free
        },
    )
    idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
    for _ in range(workers):
        idle.put(compiled.create_infer_request())

    def run(ids: np.ndarray, mask: np.ndarray, _: np.ndarray) -> np.ndarray:
        request = idle.get()
        try:
            vectors: np.ndarray = request.infer([ids, mask])[0].copy()
            return vectors
        finally:
            idle.put(request)

    cut = tokenizer.truncation
    tokenizer.enable_truncation(min(max_tokens, cut["max_length"]), direction=cut["direction"])
    width = compiled.output(0).partial_shape[1].get_length()
    return TokenEncoder(tokenizer, run, width, workers, PROCESSOR_TOKENS, prompt=prompt)
