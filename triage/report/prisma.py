"""The counts of the flow as the table that the R package PRISMA2020 reads (its template PRISMA.csv).

Its boxes are fixed: records are screened once, then reports are assessed. All stages but the last count as
screening here, and the last as the assessment of reports.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Mapping

from ..errors import InputError
from ..flow import Flow
from ..wording import agree, is_are, plural
from .drawing import clean
from .figure import by_count, check_sums

_COLUMNS = ("data", "node", "box", "description", "boxtext", "tooltips", "url", "n")
# The keys, nodes and boxes by which the package finds its values, in the order of its template, and the text of
# each box. The package draws neither previous studies nor other methods where these have no count.
_ROWS = (
    ("NA", "node4", "prevstud", "Previous studies"),
    ("previous_studies", "node5", "box1", "Studies included in previous version of review"),
    ("previous_reports", "NA", "box1", "Reports of studies included in previous version of review"),
    ("NA", "node6", "newstud", "Identification of new studies via databases and registers"),
    ("database_results", "node7", "box2", "Databases"),
    ("database_specific_results", "NA", "box2", "Specific Databases"),
    ("register_results", "NA", "box2", "Registers"),
    ("register_specific_results", "NA", "box2", "Specific Registers"),
    ("NA", "node16", "othstud", "Identification of new studies via other methods"),
    ("website_results", "node17", "box11", "Websites"),
    ("organisation_results", "NA", "box11", "Organisations"),
    ("citations_results", "NA", "box11", "Citation searching"),
    ("duplicates", "node8", "box3", "Duplicate records"),
    ("excluded_automatic", "NA", "box3", "Records marked as ineligible by automation tools"),
    ("excluded_other", "NA", "box3", "Records removed for other reasons"),
    ("records_screened", "node9", "box4", "Records screened"),
    ("records_excluded", "node10", "box5", "Records excluded"),
    ("dbr_sought_reports", "node11", "box6", "Reports sought for retrieval"),
    ("dbr_notretrieved_reports", "node12", "box7", "Reports not retrieved"),
    ("other_sought_reports", "node18", "box12", "Reports sought for retrieval"),
    ("other_notretrieved_reports", "node19", "box13", "Reports not retrieved"),
    ("dbr_assessed", "node13", "box8", "Reports assessed for eligibility"),
    ("dbr_excluded", "node14", "box9", "Reports excluded"),
    ("other_assessed", "node20", "box14", "Reports assessed for eligibility"),
    ("other_excluded", "node21", "box15", "Reports excluded"),
    ("new_studies", "node15", "box10", "New studies included in review"),
    ("new_reports", "NA", "box10", "Reports of new included studies"),
    ("total_studies", "node22", "box16", "Total studies included in review"),
    ("total_reports", "NA", "box16", "Reports of total included studies"),
    ("identification", "node1", "identification", "Identification"),
    ("screening", "node2", "screening", "Screening"),
    ("included", "node3", "included", "Included"),
)
# The package reads these as lists whether it draws them or not.
_LISTS = {"register_specific_results": "Register 1, NA", "other_excluded": "Reason1, NA"}


def prisma_table(counted: Flow, reason_texts: Mapping[str, str], stopped: Collection[str]) -> str:
    """Return the counts as CSV for `PRISMA_data()`.

    Parameters
    ----------
    counted : Flow
    reason_texts : mapping of str to str
        What the codes of the reasons mean.
    stopped : collection of str
        Stages that were stopped, or whose stopping rule is met. What is unscreened at the first of them is then what a
        tool marked as ineligible.

    Raises
    ------
    InputError
        When the numbers do not add up, or the review is not finished: there are no boxes for what is open.
    """
    check_sums(counted)
    _check_finished(counted, stopped)
    first, last = counted.stages[0], counted.stages[-1]
    *screening, assessment = counted.stages if len(counted.stages) > 1 else (first, None)
    counts: dict[str, int | str] = {
        **_LISTS,
        "database_results": counted.n_retrieved,
        "database_specific_results": _listed([*counted.retrieved.items()]),
        "duplicates": counted.n_duplicates,
        "records_screened": first.entered - first.unscreened,
        "records_excluded": sum(sum(s.excluded.values()) for s in screening),
        "new_studies": counted.n_studies,
        "new_reports": last.included,
        "total_studies": counted.n_studies,
        "total_reports": last.included,
    }
    if first.unscreened:
        counts["excluded_automatic"] = first.unscreened
    texts = {}
    if counted.n_removed:
        counts["excluded_other"] = counted.n_removed
        kinds = [kind for kind, by_source in counted.removed.items() if sum(by_source.values())]
        texts["excluded_other"] = f"Records removed by the {' and '.join(kinds)} limit"
    if assessment is not None:
        counts |= {
            "dbr_sought_reports": assessment.entered,
            "dbr_notretrieved_reports": assessment.n_not_retrieved,
            "dbr_assessed": assessment.entered - assessment.n_not_retrieved,
        }
        named = [(reason_texts.get(code, code), n) for code, n in by_count(assessment.judged_out)]
        counts["dbr_excluded"] = _listed(named) or 0
    made = io.StringIO(newline="")
    table = csv.writer(made, lineterminator="\n")
    table.writerow(_COLUMNS)
    for key, node, box, text in _ROWS:
        text = _name(texts.get(key, text))
        table.writerow((key, node, box, text, text, text, "NA", counts.get(key, "NA")))
    return made.getvalue()


def _check_finished(counted: Flow, stopped: Collection[str]) -> None:
    for stage in counted.stages:
        may_stay = stage is counted.stages[0] and stage.name in stopped
        for n, what in (
            (0 if may_stay else stage.unscreened, "not screened"),
            (stage.conflicts, "in conflict"),
            (stage.maybe if stage is counted.stages[-1] else 0, "labelled maybe"),
        ):
            if n:
                raise InputError(
                    f"The table for PRISMA2020 cannot be written: at the stage {stage.name!r} {plural(n, 'record')} "
                    f"{is_are(n)} {what}, and it has no box for {agree(n, 'it', 'them')}. Settle {agree(n, 'it', 'them')} "
                    f"first, or write the figure (.svg), which shows them."
                )


def _listed(counts: list[tuple[str, int]]) -> str:
    """Write counts as the package reads them, "PubMed, 12; CINAHL, 3"."""
    return "; ".join(f"{_name(name)}, {n}" for name, n in counts)


_HARMLESS = str.maketrans({"'": "\u2019", '"': "\u201d", "\\": "/", "@": " at "})


def _name(text: str) -> str:
    """Take from a text what would end it for the package, or for the drawing program behind it."""
    text = re.sub(r"\s*[,;]\s*", " / ", clean(text).rstrip(".,; "))
    text = text.translate(_HARMLESS)
    # A spreadsheet would run a cell that begins so; a blank before it makes it text.
    return f" {text}" if text.startswith(("=", "+", "-")) else text
