"""Sentence encoders: what a model's folder asks for, how it runs here, and where its vectors are kept."""

from .cache import embed
from .packaged import model_folder
from .runtime import Runtime, fastest_runtime
from .sentence import SentenceEmbedding

__all__ = ["Runtime", "SentenceEmbedding", "embed", "fastest_runtime", "model_folder"]
