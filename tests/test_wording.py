"""Numbers in sentences: written in one way, by one helper, wherever there is a count."""

import ast
import re
from pathlib import Path

import pytest

from triage import report, status
from triage.intake import labels
from triage.log import Counts, Label
from triage.project import Project
from triage.records import Record
from triage.session_state import State
from triage.wording import about, agree, plural, rate, span

PACKAGE = Path(__file__).resolve().parents[1] / "triage"
NOUNS = (
    "records decisions duplicates pairs draws problems reviewers tags events hours hits conflicts parameters sources "
    "labels files seeds cells rows columns words PDFs people minutes seconds days notes votes warnings reviews copies "
    "changes processors tensors"
).split()
# What may stand between a count and its noun: "3 new duplicates", but not "3 of the records".
COUNTED = re.compile(rf"^ (?:(?!no |of |to |in |at |and |or |held |these )[a-z-]+ ){{0,2}}({'|'.join(NOUNS)})\b")
HELPERS = {"plural", "agree", "about", "rate", "was_were", "is_are"}


def test_counts():
    assert [plural(n, "record") for n in (0, 1, 2, 12_000)] == ["0 records", "1 record", "2 records", "12,000 records"]
    assert plural(1, "person", "people") == "1 person" and plural(0, "person", "people") == "0 people"
    assert [agree(n, "is", "are") for n in (0, 1, 2)] == ["are", "is", "are"]


def test_estimated_counts_are_whole():
    assert [about(n, "record") for n in (45.5, 1.2, 0.5, 0.4, 0.0)] == [
        "about 46 records",
        "about 1 record",
        "fewer than 1 record",
        "fewer than 1 record",
        "fewer than 1 record",
    ]


@pytest.mark.parametrize(
    "per_second, said",
    [
        (517_271, "520,000"),
        (1_949, "1,900"),
        (995, "1,000"),
        (48.4, "48"),
        (9.96, "10"),
        (3.44, "3.4"),
        (1, "1.0"),
        (0.254, "0.25"),
        (0.00491, "0.0049"),
        (0, "0"),
    ],
)
def test_rates_have_two_figures(per_second, said):
    assert rate(per_second) == said


@pytest.mark.parametrize(
    "seconds, said",
    [
        (0.4, "0 s"),
        (89, "89 s"),
        (95, "2 min"),
        (5_000, "83 min"),
        (5_400, "1.5 h"),
        (36_000, "10 h"),
        (7_200_000, "2,000 h"),
    ],
)
def test_spans_of_time(seconds, said):
    assert span(seconds) == said


def without_helper(path):
    """Yield the counts of a file that stand before a noun in the plural whatever they are."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            for one, after in zip(node.values, node.values[1:]) if isinstance(node, ast.JoinedStr) else ():
                if not isinstance(one, ast.FormattedValue) or not isinstance(after, ast.Constant):
                    continue
                counted, shown = COUNTED.match(after.value), one.value
                named = getattr(shown, "id", getattr(shown, "attr", ""))
                by_helper = isinstance(shown, ast.Call) and getattr(shown.func, "id", "") in HELPERS
                measured = one.format_spec is not None and "f" in ast.unparse(one.format_spec)  # 11.2 seconds
                if counted and not (by_helper or measured or named.isupper() or one.conversion != -1):
                    yield f"{path.name}:{node.lineno}: {ast.unparse(shown)}{counted[0]}"
    else:
        for found in re.finditer(r"(\$\{[^{}]*\}|\{\{[^{}]*\}\})( [^<{$`]*)", text):
            if (counted := COUNTED.match(found[2])) and "plural" not in found[1]:
                yield f"{path.name}: {found[1]}{counted[0]}"


def test_every_count_before_a_noun_goes_through_the_helper(tmp_path):
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".js", ".html")]
    assert len(files) > 60
    assert [one for path in files for one in without_helper(path)] == []
    (tmp_path / "a.py").write_text("f\"{n} new records, {LEAST} records, {x:.1f} hours, {plural(n, 'pair')} records\"")
    (tmp_path / "a.js").write_text("`${n} pairs and ${plural(n, 'pair')} files`")
    (tmp_path / "a.html").write_text("<p>{{ n|count }} records, {{ n|plural('file') }}</p>")
    assert [len(list(without_helper(tmp_path / f"a.{kind}"))) for kind in ("py", "js", "html")] == [1, 1, 1]


def test_large_numbers_have_commas_everywhere(tmp_path):
    """A review of thousands, of each count four digits or more: none is written without a comma."""
    with Project.create(tmp_path / "r.triage", 'question = "Q"\n[limits]\nlanguages = ["English"]\n') as project:
        n = 6_000
        project.records.add(
            [Record(title=f"T{i:x}") for i in range(n)],
            [1] * n,
            name="a.ris",
            source="a",
            format="ris",
            sha256="x",
            announced=n,
            problems=[],
        )
        project.log.link(((i + 2, 1, "same title") for i in range(1_200)), reviewer="ann")
        ids = project.stage().record_ids.tolist()
        project.log.decide(
            "abstract",
            [{"record_id": i, "label": Label.INCLUDE if k % 2 else Label.EXCLUDE} for k, i in enumerate(ids[:2_400])],
            reviewer="ann",
        )
        facts = status.status(project.snapshot())
        page = re.sub(
            r"(?s)<style.*?</style>|<table>.*?</table>|<[^>]*>", " ", report.render(project.snapshot(), facts)
        )
        history = project.stage().history()
        line = str(State(Counts(history.n_total, history.n_screened, history.n_found), "", 1_200))
        curve = re.sub(r"<[^>]*>", " ", report.discovery_curve(history, facts))
        assert "4,800" in line and "4,800" in status.in_words(facts) and "1,200" in page and "1,200" in curve
        for text in (status.in_words(facts), line, curve, page):
            # Years and our numbers of events are no counts.
            text = re.sub(r"\b(19|20)\d\d\b|event \d+|doi:\S+|10\.\d+/\S+|arXiv:\S+|1039.1048", "", text)
            assert not (bare := re.search(r"(?<![\d.,/:#-])\d{4,}(?![\d/-])", text)), text[
                bare.start() - 60 : bare.end() + 40
            ]


@pytest.mark.parametrize("said", labels._TOLD_OF_ROWS.values())
def test_what_is_told_of_rows_of_decisions_goes_with_their_number(said):
    one, two = said(1), said(2)
    assert re.match(r"1 (row|record) (repeats|says|has|is) ", one) and re.match(
        r"2 (rows|records) (repeat|say|have|are) ", two
    )
    assert "them" not in one and (" it" not in two.replace("its", ""))
