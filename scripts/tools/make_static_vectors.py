"""Make models/static.npz: a vector for each word piece, from the packaged sentence encoder.

Usage: python scripts/tools/make_static_vectors.py

As model2vec distils (github.com/MinishLab/model2vec): every piece of the encoder's vocabulary is encoded
alone, the vectors are brought to fewer dimensions by their principal components, and the rank of a piece
in the vocabulary, which is ordered by frequency, weighs it (Zipf). Each vector is kept in eight bits with
a scale of its own. Two machines may differ in the last bit of a number.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triage.features.encoder.packaged import model_folder
from triage.features.views import PACKAGED_MODEL

OUT = Path(__file__).resolve().parents[2] / "models" / "static.npz"
WIDTH = 128
BATCH = 1024


def main() -> None:
    """Encode the vocabulary, and write the file."""
    import torch
    from sentence_transformers import SentenceTransformer

    folder = model_folder(PACKAGED_MODEL)
    model = SentenceTransformer(str(folder), device="cpu")
    tokenizer = model.tokenizer
    transformer = model[0].auto_model.eval()
    pieces = torch.arange(len(tokenizer))
    alone = torch.stack(
        [torch.full_like(pieces, tokenizer.cls_token_id), pieces, torch.full_like(pieces, tokenizer.sep_token_id)],
        dim=1,
    )
    with torch.no_grad():
        encoded = np.concatenate(
            [
                transformer(input_ids=alone[start : start + BATCH]).last_hidden_state.mean(dim=1).numpy()
                for start in range(0, len(alone), BATCH)
            ]
        ).astype(np.float64)
    centred = encoded - encoded.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(-variances)[:WIDTH]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(WIDTH)])  # an axis has no sign of its own
    vectors = centred @ axes * np.log1p(np.arange(len(encoded)))[:, None]
    scale = np.maximum(np.abs(vectors).max(axis=1) / 127, np.finfo(np.float32).tiny)
    np.savez(
        OUT,
        vectors=np.rint(vectors / scale[:, None]).astype(np.int8),
        scale=scale.astype(np.float32),
        tokenizer=np.frombuffer((folder / "tokenizer.json").read_bytes(), np.uint8),
    )
    print(f"{OUT}: {len(vectors)} pieces, {OUT.stat().st_size / 2**20:.1f} MB")


if __name__ == "__main__":
    main()
