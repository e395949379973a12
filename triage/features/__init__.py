"""Views of records, from words and from sentence vectors."""

from .kept import KeptViews, new_array
from .views import PACKAGED_MODEL, Texts, Views, are_encoded, build_views, centred, of_length_one

__all__ = [
    "KeptViews",
    "PACKAGED_MODEL",
    "Texts",
    "Views",
    "are_encoded",
    "build_views",
    "centred",
    "new_array",
    "of_length_one",
]
