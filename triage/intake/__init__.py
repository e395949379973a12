"""What comes into a review and goes out of it: files of records, duplicates, limits, labels, exports."""

from .correcting import Correction, correct, corrections, fields_now, in_words
from .documents import text_of
from .duplicates import Deduped, Maybe, after_answers, find_duplicates, settle_maybe
from .exporting import EXPORTABLE, export
from .importing import Imported, import_files, new
from .labels import label
from .limits import Filtered, accept, apply_limits, settle
from .sources import rename_sources
from .studies import StudiesBeside, find_studies, settle_study, study_questions, tell_studies
from .suggestions import WhoseLabels
from .undoing import take_back, take_exclusion_back, undo

__all__ = [
    "Correction",
    "Deduped",
    "EXPORTABLE",
    "Filtered",
    "Imported",
    "Maybe",
    "StudiesBeside",
    "WhoseLabels",
    "accept",
    "after_answers",
    "apply_limits",
    "correct",
    "corrections",
    "fields_now",
    "in_words",
    "export",
    "find_duplicates",
    "find_studies",
    "import_files",
    "label",
    "new",
    "rename_sources",
    "settle",
    "settle_maybe",
    "settle_study",
    "study_questions",
    "take_back",
    "take_exclusion_back",
    "text_of",
    "tell_studies",
    "undo",
]
