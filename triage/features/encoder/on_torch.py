"""Encoding by torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ...errors import InputError
from ...wording import is_are, plural
from .recipe import Encoding
from .runtime import Runtime, is_mean_of_tokens
from .tokens import DEVICE_TOKENS, MOST_WORKERS, PROCESSOR_TOKENS, Encoder, Text, TokenEncoder, fast_tokenizer, loading

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer


def torch_encoder(folder: Path, digest: str, runtime: Runtime, max_tokens: int, encoding: Encoding) -> Encoder:
    """Return a function that encodes texts with torch, by the fastest way that the model allows."""
    model = sentence_transformer(folder, digest, runtime)
    longest = min(max_tokens, model.get_max_seq_length() or max_tokens)
    width = model.get_embedding_dimension()
    if not width:
        raise InputError(f"{folder} is not a model that gives vectors of texts: it does not say how wide they are.")
    if not is_mean_of_tokens(folder) or (tokenizer := fast_tokenizer(model.tokenizer, longest)) is None:
        return partial(_encode_whole, model, longest, width, encoding)
    transformer = cast("torch.nn.Module", model[0].auto_model)
    return _on_torch(transformer, tokenizer, width, runtime, Encoding("mean", encoding.prompt), False)


def plain_encoder(folder: Path, runtime: Runtime, longest: int, encoding: Encoding) -> TokenEncoder:
    """Load a plain transformers folder: only the transformer, and the pooling that it needs."""
    with loading(folder):
        import torch
        from transformers import AutoModel, AutoTokenizer

        here = {"local_files_only": True, "trust_remote_code": False}
        model, loaded = AutoModel.from_pretrained(
            str(folder), dtype=getattr(torch, runtime.precision), use_safetensors=True, output_loading_info=True, **here
        )
        tokenizer = AutoTokenizer.from_pretrained(str(folder), **here)
    if model.config.is_encoder_decoder:
        raise InputError(f"{folder} is a model that writes texts, not one that encodes them.")
    lacking = sorted(name for name in loaded["missing_keys"] if "pooler" not in name)
    if lacking:
        raise InputError(
            f"The weights in {folder} are not those of its config.json: {plural(len(lacking), 'tensor')} "
            f"{is_are(len(lacking))} missing, as {lacking[0]}."
        )
    cutting = fast_tokenizer(tokenizer, longest)
    if cutting is None:
        raise InputError(f"{folder} has a tokenizer of an unusual kind; triage needs one with a tokenizer.json.")
    return _on_torch(
        model.eval().to(runtime.device),
        cutting,
        model.config.hidden_size,
        runtime,
        encoding,
        "token_type_ids" in tokenizer.model_input_names,
    )


def _on_torch(
    transformer: torch.nn.Module,
    tokenizer: Tokenizer,
    width: int,
    runtime: Runtime,
    encoding: Encoding,
    takes_segments: bool,
) -> TokenEncoder:
    """Return an encoder of a transformer and the first, the mean or the largest of its tokens' vectors."""
    import torch

    threads = torch.get_num_threads()
    workers = min(threads, MOST_WORKERS) if runtime.device == "cpu" else 1

    def run(ids: np.ndarray, mask: np.ndarray, segments: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            seen = torch.from_numpy(mask).to(runtime.device)
            given = {"token_type_ids": torch.from_numpy(segments).to(runtime.device)} if takes_segments else {}
            tokens = transformer(
                input_ids=torch.from_numpy(ids).to(runtime.device), attention_mask=seen, return_dict=False, **given
            )[0].float()
            made: torch.Tensor
            if encoding.pooling == "cls":
                made = tokens[:, 0]
            elif encoding.pooling == "max":
                made = tokens.masked_fill(seen.unsqueeze(-1) == 0, -torch.inf).amax(1)
            else:
                weight = seen.unsqueeze(-1).float()
                made = (tokens * weight).sum(1) / weight.sum(1)
            vectors: np.ndarray = made.cpu().numpy()
            return vectors

    # Threads that share one product wait for each other; threads with products of their own do not.
    return TokenEncoder(
        tokenizer,
        run,
        width,
        workers,
        DEVICE_TOKENS if runtime.device == "cuda" else PROCESSOR_TOKENS,
        on_worker=partial(torch.set_num_threads, max(threads // workers, 1)),
        after=partial(torch.set_num_threads, threads),
        prompt=encoding.prompt,
    )


def _encode_whole(
    model: SentenceTransformer,
    longest: int,
    width: int,
    encoding: Encoding,
    texts: Sequence[Text],
    tick: Callable[[int], None],
) -> np.ndarray:
    """Encode by sentence-transformers itself: any model that it can load."""
    encode = partial(model.encode, show_progress_bar=False, convert_to_tensor=True)
    if encoding.role:
        by_role = model.encode_query if encoding.role == "query" else model.encode_document
        encode = partial(by_role, prompt=encoding.prompt, show_progress_bar=False, convert_to_tensor=True)
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    vectors = np.zeros((len(texts), width), np.float32)
    own, model.max_seq_length = model.max_seq_length, longest
    try:
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            made = cast("torch.Tensor", encode([texts[i] for i in rows]))
            vectors[rows] = made.float().cpu().numpy()
            tick(start + len(rows))
    finally:
        model.max_seq_length = own
    return vectors


@lru_cache(maxsize=1)
def sentence_transformer(folder: Path, digest: str, runtime: Runtime) -> SentenceTransformer:
    """Load a model by sentence-transformers; the last one stays loaded."""
    with loading(folder):
        import torch
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(
            str(folder),
            device=runtime.device,
            local_files_only=True,
            trust_remote_code=False,
            # Said here, they go before what the folder's own settings say.
            model_kwargs={"dtype": getattr(torch, runtime.precision), "use_safetensors": True, "weights_only": True},
        )
