"""What a folder of weights needs around its transformer: pooling, prompts, how title and abstract are put together.

A sentence-transformers folder says most of it (`modules.json`). A plain transformers folder says nothing, and a
mean of its tokens would be a guess: `triage.toml` beside the weights says it, or the model is a known one.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict, cast

from ...errors import InputError
from ...wording import printable

SETTINGS = "triage.toml"
LONGEST = 512  # tokens, where neither the model nor its settings say less
_POOLINGS = ("cls", "mean", "max")
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")  # in sentence-transformers' order
_KINDS = {
    "pooling": str,
    "separator": str,
    "pairs": bool,
    "query_encoder": str,
    "query_prompt": str,
    "document_prompt": str,
    "longest": int,
}
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
)
_ROUTERS = frozenset({"Router", "Asym"})  # they take queries and documents apart
# The modules of a model that are loaded: sentence-transformers' own for texts, which read settings and safetensors and
# run nothing that the folder holds. It would import any other name that a folder gives it from its own package.
_KNOWN_MODULES = (
    "Transformer",
    "Pooling",
    "WeightedLayerPooling",
    "Normalize",
    "Dense",
    "LayerNorm",
    "Dropout",
    "CNN",
    "LSTM",
    "StaticEmbedding",
    *sorted(_ROUTERS),
)
_ROUTER_SETTINGS = ("router_config.json", "config.json")
_MODULE = re.compile(
    r"sentence_transformers\.(?:models|base\.modules(?:\.\w+)?|sentence_transformer\.modules(?:\.\w+)?)"
    rf"\.({'|'.join(_KNOWN_MODULES)})",
    re.ASCII,
)
_PAST_PADDING = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text")
_MEDCPT_QUERIES = re.compile(r"medcpt[-_.]*query", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a text's tokens become a vector; nothing set is what the folder's own modules do.

    Attributes
    ----------
    pooling : {"", "cls", "mean", "max"}
        Of a plain transformers folder.
    prompt : str
        Put before each text.
    role : {"", "query", "document"}
        Set where sentence-transformers distinguishes the two.
    """

    pooling: str = ""
    prompt: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder's model encodes records and criteria.

    Attributes
    ----------
    documents, queries : Encoding
    separator : str or None
        Between title and abstract; None when they are two segments.
    longest : int or None
        Tokens read of a text; None leaves it to the caller.
    query_folder : Path or None
        Of the model that encodes the criteria, if it is another.
    """

    documents: Encoding = Encoding()
    queries: Encoding = Encoding()
    separator: str | None = " "
    longest: int | None = None
    query_folder: Path | None = None

    def text(self, title: str, abstract: str) -> str | tuple[str, str]:
        """Return a record as the model reads it."""
        return (title, abstract) if self.separator is None else f"{title}{self.separator}{abstract}"


class Settings(TypedDict, total=False):
    """What a folder's `SETTINGS` may say."""

    pooling: str
    query_prompt: str
    document_prompt: str
    separator: str
    pairs: bool
    longest: int
    query_encoder: str


def read_recipe(folder: Path) -> Recipe:
    """Return how the model of a folder encodes; weights are looked at, and not loaded.

    Raises
    ------
    InputError
        When the folder holds no model that can be used, or does not say how.
    """
    is_whole = (folder / "modules.json").is_file()
    if not is_whole and not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise InputError(
                f"{folder} holds only an adapter, without the model that it adapts; give the folder of the model "
                "(for SPECTER2 that of specter2_base), with the adapter merged into its weights where it can be."
            )
        raise InputError(
            f"{folder} is not a model that sentence-transformers can load (it holds neither modules.json nor config.json)."
        )
    _check_files(folder)
    settings = _settings(folder)
    if is_whole:
        return _of_whole(folder, settings)
    known = _known(folder)
    if known is None and "pooling" not in settings:
        raise InputError(
            f"{folder} is a plain transformers folder, which does not say how a text becomes one vector; write "
            f'{folder / SETTINGS} with pooling = "cls", "mean" or "max", as the model\'s card says.'
        )
    pooling = settings.get("pooling") or (known or Recipe()).documents.pooling
    recipe = replace(known or Recipe(), documents=Encoding(pooling), queries=Encoding(pooling))
    recipe = _with_settings(folder, recipe, settings)
    most = _most_tokens(folder)
    if recipe.longest is not None and "longest" in settings and most is not None and recipe.longest > most:
        raise InputError(f"{folder / SETTINGS}: longest = {recipe.longest}, but the model reads {most} tokens at most.")
    recipe = replace(recipe, longest=min(recipe.longest or LONGEST, most or recipe.longest or LONGEST))
    return recipe if recipe.query_folder is None else _with_query_folder(folder, recipe, recipe.query_folder)


def _of_whole(folder: Path, settings: Settings) -> Recipe:
    """Return the recipe of a sentence-transformers folder: its prompts, and what the settings add."""
    for key in ("pooling", "pairs"):
        if key in settings:
            raise InputError(
                f"{folder / SETTINGS}: {key} is for a plain transformers folder; this one has a modules.json, which says "
                "how tokens become a vector."
            )
    config = folder / "config_sentence_transformers.json"
    prompts = _json(config).get("prompts") if config.is_file() else None
    prompts = {name: text for name, text in (prompts or {}).items() if isinstance(text, str) and text}
    kinds = {kind for kind, _ in _modules(folder)}
    query = settings.get("query_prompt", prompts.get("query", ""))
    document = settings.get("document_prompt", next((prompts[n] for n in _DOCUMENT_PROMPTS if n in prompts), ""))
    recipe = Recipe()
    if query or document or {"query_prompt", "document_prompt"} & settings.keys() or kinds & _ROUTERS:
        recipe = replace(recipe, documents=Encoding("", document, "document"), queries=Encoding("", query, "query"))
    recipe = _with_settings(folder, recipe, settings)
    return recipe if recipe.query_folder is None else _with_query_folder(folder, recipe, recipe.query_folder)


def _with_settings(folder: Path, recipe: Recipe, settings: Settings) -> Recipe:
    """Return a recipe with the prompts, separator, length and query encoder that the settings name."""
    recipe = replace(
        recipe,
        documents=replace(recipe.documents, prompt=settings.get("document_prompt", recipe.documents.prompt)),
        queries=replace(recipe.queries, prompt=settings.get("query_prompt", recipe.queries.prompt)),
        longest=settings.get("longest", recipe.longest),
    )
    if "separator" in settings:
        recipe = replace(recipe, separator=settings["separator"])
    if "pairs" in settings:
        plain = " " if recipe.separator is None else recipe.separator
        recipe = replace(recipe, separator=None if settings["pairs"] else plain)
    if "query_encoder" in settings:
        recipe = replace(recipe, query_folder=folder / settings["query_encoder"])
    return recipe


def _with_query_folder(folder: Path, recipe: Recipe, other: Path) -> Recipe:
    if not (other / "config.json").is_file() and not (other / "modules.json").is_file():
        raise InputError(f"{folder / SETTINGS}: the query_encoder {other} is not a folder of a model.")
    if recipe.documents.pooling and not (other / "modules.json").is_file() and not (other / SETTINGS).is_file():
        _check_files(other)
        widths = [_json(path / "config.json").get("hidden_size") for path in (folder, other)]
        if widths[0] != widths[1]:
            raise InputError(
                f"The query encoder {other} gives vectors of {widths[1]} numbers and {folder} of {widths[0]}; they must "
                "belong together."
            )
        longest = recipe.longest or LONGEST
        return replace(recipe, longest=min(longest, _most_tokens(other) or longest))
    own = read_recipe(other)
    return replace(recipe, queries=replace(own.queries, prompt=recipe.queries.prompt or own.queries.prompt))


# -- what is known by name --------------------------------------------------------------------


def _known(folder: Path) -> Recipe | None:
    """Return the recipe, from its card, of a model that is recognized by its name."""
    name = " ".join(_names(folder))
    if re.search(r"(^|[ _-])(specter|scincl)", name):
        return Recipe(Encoding("cls"), Encoding("cls"), "[SEP]", LONGEST)
    if _MEDCPT_QUERIES.search(name):
        raise InputError(f"{folder} is MedCPT's encoder of queries; give the folder of MedCPT-Article-Encoder.")
    if re.search(r"medcpt[-_.]*article", name):
        queries = _medcpt_queries(folder)
        if queries is None and "query_encoder" not in _settings(folder):
            raise InputError(
                f"{folder} encodes only articles; put the folder MedCPT-Query-Encoder beside it, or name it as "
                f"query_encoder in {folder / SETTINGS}."
            )
        return Recipe(Encoding("cls"), Encoding("cls"), None, LONGEST, queries)
    return None


def _names(folder: Path) -> list[str]:
    """Return what a model is called: by its settings, by its folder, and in the hub's own folders."""
    path = folder.absolute()
    named = str(_json(folder / "config.json").get("_name_or_path") or "")
    names = [named.rstrip("/\\").replace("\\", "/").rpartition("/")[2], path.name]
    if path.parent.name == "snapshots":
        names.append(path.parent.parent.name.rpartition("--")[2])
    return [name.lower() for name in names]


def _medcpt_queries(folder: Path) -> Path | None:
    path = folder.absolute()
    in_hub = path.parent.name == "snapshots"
    home = path.parent.parent if in_hub else path
    for other in sorted(home.parent.iterdir()):
        if _MEDCPT_QUERIES.search(other.name):
            for place in (other, *sorted(other.glob("snapshots/*"))):
                if (place / "config.json").is_file():
                    return place
    return None


# -- files --------------------------------------------------------------------------------


def _settings(folder: Path) -> Settings:
    path = folder / SETTINGS
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            given = tomllib.load(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as TOML ({error}).") from error
    for key, value in given.items():
        if key not in _KINDS:
            raise InputError(f"{path}: there is no setting {key!r}; there are {', '.join(_KINDS)}.")
        if type(value) is not _KINDS[key]:
            kind = {str: "a text in quotes", bool: "true or false", int: "a whole number"}[_KINDS[key]]
            raise InputError(f"{path}: {key} must be {kind}, and is {value!r}.")
    settings = cast(Settings, given)
    if settings.get("pooling", _POOLINGS[0]) not in _POOLINGS:
        raise InputError(f'{path}: pooling = {settings["pooling"]!r}; there are "cls", "mean" and "max".')
    if settings.get("longest", LONGEST) < 3:
        raise InputError(f"{path}: longest = {settings['longest']}; a text needs three tokens at least.")
    if settings.get("pairs") and "separator" in settings:
        raise InputError(
            f"{path}: with pairs = true, title and abstract are two segments, with no separator between them."
        )
    return settings


def _check_files(folder: Path) -> None:
    """Refuse modules that could run code, weights that are not there, not whole, or pickled, and no tokenizer."""
    for kind, place in list(_modules(folder)):
        pickled = next((file for pattern in _PICKLES for file in sorted(place.glob(pattern))), None)
        safe = "*.safetensors" if kind == "Transformer" else "model.safetensors"
        if pickled is not None and not any(place.glob(safe)):
            raise InputError(
                f"{pickled} is a pickle, which can run any code when it is read; triage reads weights only as "
                "safetensors: load the model where you trust it, and save it again with save_pretrained."
            )
        for weights in sorted(place.glob("*.safetensors")):
            _check_whole(weights)
        if kind != "Transformer":
            continue
        if (place / "adapter_config.json").is_file():
            raise InputError(
                f"{place} holds an adapter, which would be put onto the model from elsewhere; merge it into the weights "
                "where you trust it, and remove adapter_config.json."
            )
        if not any(place.glob("*.safetensors")):
            raise InputError(f"{place} holds no weights (model.safetensors).")
        if not any((place / name).is_file() for name in _TOKENIZERS):
            raise InputError(
                f"{place} holds no tokenizer (tokenizer.json); copy it there from the source of the weights."
            )


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the kind and folder of each part of a model, those that a router holds after it.

    Raises
    ------
    InputError
        When a part is of a kind that is not known, or lies elsewhere.
    """
    path = folder / "modules.json"
    if not path.is_file():
        yield "Transformer", folder
        return
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        modules = [(module["path"], module["type"]) for module in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read as a list of modules, so {folder} is not a model.") from error
    yield from _checked_modules(path, folder, modules)


def _checked_modules(
    listed_in: Path, folder: Path, modules: Iterable[tuple[object, object]]
) -> Iterator[tuple[str, Path]]:
    for where, type_ in modules:
        known = _MODULE.fullmatch(type_) if isinstance(type_, str) else None
        if known is None:
            raise InputError(
                f"{listed_in} names a module of the type {printable(str(type_))[:80]!r}, which could run code of its own "
                f"when it is loaded; triage loads only sentence-transformers' {', '.join(_KNOWN_MODULES)}."
            )
        if not isinstance(where, str) or PurePosixPath(where).is_absolute() or re.search(r"\.\.|[\\:]", where):
            raise InputError(f"{listed_in} names a module outside its own folder; give a folder that holds all of it.")
        kind, place = known[1], folder / where
        yield kind, place
        if kind in _ROUTERS:
            settings = next((place / name for name in _ROUTER_SETTINGS if (place / name).is_file()), None)
            types = None if settings is None else _json(settings).get("types")
            if settings is None or not isinstance(types, dict):
                raise InputError(f"{place} does not say what its router holds, so {folder} is not a model.")
            yield from _checked_modules(settings, place, types.items())


def _check_whole(weights: Path) -> None:
    """Refuse a safetensors file that has not as many bytes as its head says."""
    begin = b""
    try:
        with weights.open("rb") as file:
            begin = file.read(8)
            length = int.from_bytes(begin, "little")
            size = weights.stat().st_size
            head = json.loads(file.read(length)) if len(begin) == 8 and length < size else None
        ends = [part["data_offsets"][1] for name, part in (head or {}).items() if name != "__metadata__"]
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        head, ends = None, []
    if begin == b"version ":
        raise InputError(f"{weights} is a pointer of Git LFS, not the weights; fetch them with git lfs pull.")
    if head is None:
        raise InputError(f"{weights} is cut off or damaged; copy it again.")
    wanted = 8 + length + max(ends, default=0)
    if size != wanted:
        raise InputError(f"{weights} is cut off or damaged: {size:,} bytes of {wanted:,}; copy it again.")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not a table of settings.")
    return found


def _most_tokens(folder: Path) -> int | None:
    """Return how many tokens a transformer has places for; None when it does not say."""
    config = _json(folder / "config.json")
    places = config.get("max_position_embeddings")
    most = [places] if type(places) is int and places > 0 else []
    if most and config.get("model_type") in _PAST_PADDING:
        most = [most[0] - int(config.get("pad_token_id") or 0) - 1]  # the first places are those of padding
    config_of_tokens = folder / "tokenizer_config.json"
    cut = _json(config_of_tokens).get("model_max_length") if config_of_tokens.is_file() else None
    if type(cut) is int and 0 < cut < 1_000_000:
        most.append(cut)
    return min(most, default=None)
