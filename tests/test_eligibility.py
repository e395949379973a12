import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from triage import formats
from triage.eligibility import Proposal, Removal, check, languages_of
from triage.protocol.model import Limits
from triage.records import Record

ROOT = Path(__file__).resolve().parents[1]
EXPORTS = ROOT.parent / "shared" / "data" / "exports"
ENGLISH = Limits(languages=("English",))
FRENCH_TEXT = (
    "Le soutien par les pairs chez les adultes souffrant de schizophrénie. Nous avons comparé deux groupes de patients "
    "suivis pendant un an dans quatre villes; l'espoir et le nombre de jours d'hospitalisation ont été mesurés."
)
ENGLISH_TEXT = (
    "Peer support for adults with schizophrenia. We compared two groups of patients over one year in four towns; hope and "
    "the number of days in hospital were measured."
)


def kind(found: Removal | Proposal | None) -> tuple[str, str] | None:
    return None if found is None else (type(found).__name__, found.kind)


# -- language ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("eng", ("English",)),
        ("EN", ("English",)),
        ("English", ("English",)),
        ("Eng", ("English",)),
        ("en-US", ("English",)),
        ("ger", ("German",)),
        ("deu", ("German",)),
        ("de", ("German",)),
        ("eng; fre", ("English", "French")),
        ("French, English", ("French", "English")),
        ("English and Spanish", ("English", "Spanish")),
        ("[Russian]", ("Russian",)),
        ("Chinese (Simplified)", ("Chinese",)),
        ("Brazilian Portuguese", ("Portuguese",)),
        ("Text in German", ("German",)),
        ("German; English abstract", ("German",)),
        ("Language: Polish", ("Polish",)),
        ("Serbo-Croatian", ("Serbo-Croatian",)),
        ("", ()),
        ("und", ()),
        ("N/A", ()),
        ("Multilingual", ()),
        ("mul", ()),
        ("-", ()),
    ],
)
def test_language_fields_of_databases(field, names):
    assert languages_of(field) == (names, ())


def test_what_names_no_language_is_told():
    assert languages_of("English; Quenya") == (("English",), ("quenya",))
    assert languages_of("non-English") == ((), ("non-english",))


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("English", None),
        ("eng", None),
        ("fre; eng", None),
        ("English; Quenya", None),
        ("fre", Removal("language", "written in French; the protocol allows English")),
        ("German, French", Removal("language", "written in German, French; the protocol allows English")),
        (
            "Quenya",
            Proposal(
                "language",
                "its language field says 'Quenya', which is not a language known here; the protocol allows English",
            ),
        ),
    ],
)
def test_the_field_goes_before_the_text(field, found):
    """A French text whose field says English stays: the record's own word counts."""
    assert check(Record(title="T", abstract=FRENCH_TEXT, language=field), ENGLISH) == found


def test_several_languages_allowed_by_code_or_name():
    limits = Limits(languages=("eng", "French"))
    assert check(Record(language="Français; fra"), limits) is None
    assert check(Record(language="dut"), limits) == Removal(
        "language", "written in Dutch; the protocol allows English, French"
    )


@pytest.mark.parametrize("field", ["", "und", "N/A"])
def test_a_detector_only_proposes_and_only_where_the_field_is_blank(field):
    found = check(Record(title=FRENCH_TEXT[:60], abstract=FRENCH_TEXT, language=field), ENGLISH)
    assert found == Proposal(
        "language", "no language given, a detector takes it for French; the protocol allows English"
    )
    assert check(Record(title="Peer support", abstract=ENGLISH_TEXT, language=field), ENGLISH) is None
    assert check(Record(title=FRENCH_TEXT, language=field), Limits(languages=("French",))) is None


def test_an_abstract_with_its_translation_behind_it():
    assert check(Record(title="Peer support", abstract=f"{ENGLISH_TEXT * 5} {FRENCH_TEXT * 5}"), ENGLISH) is None


@pytest.mark.parametrize(
    ("title", "abstract", "proposed"),
    [
        # An English title, whatever its abstract begins with; one too short to tell, with English further on.
        ("Peer support for adults with schizophrenia in four towns", FRENCH_TEXT * 8, False),
        ("Schizophrenia", f"{FRENCH_TEXT * 4} {ENGLISH_TEXT * 4}", False),
        ("Schizophrenia", FRENCH_TEXT * 8, True),
        (
            "Le soutien par les pairs chez les adultes souffrant de schizophrénie",
            f"{FRENCH_TEXT * 4} {ENGLISH_TEXT * 4}",
            True,
        ),
    ],
)
def test_an_abstract_in_several_languages(title, abstract, proposed):
    assert isinstance(check(Record(title=title, abstract=abstract), ENGLISH), Proposal) == proposed


@pytest.mark.skipif(not EXPORTS.is_dir(), reason="the exports stand in shared/data, which is not there")
@pytest.mark.parametrize(
    ("file", "title", "proposed"),
    [
        ("citesource/lens_343.ris", "The fate of pyrogenic organic matter in soil", False),  # the thesis is English
        ("asysd/mendeley_export.xml", "Congenital Ichthyosis in Two Cavalier King", False),  # so is the article
        ("../screening/report/oud_2018.csv", "Faut-il hospitaliser les patients suicidants", True),
    ],
)
def test_real_abstracts_in_several_languages(file, title, proposed):
    """Each begins in French or German and goes on in English."""
    found = [r for r in formats.read(EXPORTS / file).records if r.title.startswith(title)]
    assert found and {isinstance(check(replace(r, language=""), ENGLISH), Proposal) for r in found} == {proposed}


@pytest.mark.parametrize("title", ["", "Oui", "Schizophrénie", "12 34 56 78 90 12 34 56 78 90 12 34 56 78 90"])
def test_a_detector_is_silent_about_too_little(title):
    assert check(Record(title=title), ENGLISH) is None


@pytest.mark.parametrize(
    ("title", "languages", "reason"),
    [
        ("[Peer support in Leeds].", ("English",), "its title is in brackets, as databases mark a translated one"),
        ("[Peer support in Leeds]. [Chinese]", ("English", "French"), "its title ends in [Chinese]"),
        ("Peer support in Leeds [German].", ("English",), "its title ends in [German]"),
    ],
)
def test_titles_that_databases_mark_as_translated(title, languages, reason):
    found = check(Record(title=title, abstract=ENGLISH_TEXT), Limits(languages=languages))
    assert isinstance(found, Proposal)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("title", "languages"),
    [
        ("[Peer support in Leeds].", ("English", "French")),  # the bracketed one may be French
        ("Peer support in Leeds [Review]", ("English",)),
        ("Peer support in Leeds [English]", ("English",)),
        ("[Peer] support of adults in [Leeds]", ("English",)),
    ],
)
def test_brackets_that_say_nothing(title, languages):
    assert check(Record(title=title, abstract=ENGLISH_TEXT), Limits(languages=languages)) is None


def test_no_limit_removes_nothing_and_loads_no_detector():
    code = (
        "import sys; from triage.eligibility import check; from triage.records import Record; from triage.protocol import Limits\n"
        f"found = [check(Record(title={FRENCH_TEXT!r}, year=1700, type='Letter'), Limits()),\n"
        "         check(Record(title='Hope', language='eng'), Limits(languages=('English',)))]\n"
        "sys.exit(found != [None, None] or 'py3langid' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


# -- date -------------------------------------------------------------------------------------

RANGE = Limits(published_from=date(1980, 1, 1), published_to=date(2010, 8, 31))


@pytest.mark.parametrize(
    ("year", "extra", "reason"),
    [
        (None, {}, None),
        (1980, {}, None),
        (2010, {}, None),
        (1995, {"DP": ("1995 Jan",)}, None),
        (1979, {}, "published 1979; the protocol begins with 1980-01-01"),
        (2011, {}, "published 2011; the protocol ends with 2010-08-31"),
        (2010, {"DP": ("2010 Sep 3",)}, "published 2010-09; the protocol ends with 2010-08-31"),
        (2010, {"DA": ("2010/12/01/",)}, "published 2010-12; the protocol ends with 2010-08-31"),
        (2010, {"Date": ("2010-10",)}, "published 2010-10; the protocol ends with 2010-08-31"),
        (2010, {"Publication Date": ("NOV 15",)}, "published 2010-11; the protocol ends with 2010-08-31"),
        (2010, {"Y1": ("20101001",)}, "published 2010-10; the protocol ends with 2010-08-31"),
        (2010, {"DP": ("2010 Aug-Sep",)}, None),  # it began within the range
        (2010, {"DP": ("2010 Autumn",)}, None),
        (2010, {"DA": ("2012/12/01",)}, None),  # the date of entry, of another year
        (2010, {"Date Added": ("2010-12-01",)}, None),  # no date of publication
        (2010, {"DP": ("2010-11",)}, "published 2010-11; the protocol ends with 2010-08-31"),
        (2011, {"DEP": ("20100820",)}, None),  # online within the range
        (2011, {"EA": ("DEC 2010",)}, None),
        (2011, {"DEP": ("20110102",)}, "published 2011; the protocol ends with 2010-08-31"),
    ],
)
def test_dates(year, extra, reason):
    assert check(Record(title="T", year=year, extra=extra), RANGE) == (reason and Removal("date", reason))


@pytest.mark.parametrize(
    ("published_from", "removed"), [(date(1980, 3, 1), False), (date(1980, 6, 15), False), (date(1980, 7, 1), True)]
)
def test_a_month_against_the_beginning(published_from, removed):
    record = Record(year=1980, extra={"DP": ("1980 May-Jun",)})
    assert (check(record, Limits(published_from=published_from)) is not None) == removed


def test_an_issue_over_the_turn_of_the_year_belongs_to_both():
    record = Record(year=2010, extra={"DP": ("2010 Nov-2011 Jan",)})
    assert check(record, Limits(published_from=date(2010, 12, 1))) is None
    assert kind(check(record, RANGE)) == ("Removal", "date")


# -- type -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("excluded", "field", "removed"),
    [
        ("editorial", "Editorial", True),
        ("Editorials", "Editorial Material", True),
        ("editorial", "Journal Article; Editorial", True),
        ("letter", "Letter", True),
        ("letter", "Letter to the Editor", True),
        ("letters", "Journal: Letter", True),
        ("comment", "Comment", True),
        ("commentary", "Comment/Reply", True),
        ("erratum", "Published Erratum", True),
        ("erratum", "Erratum/Correction", True),
        ("correction", "Corrigendum", True),
        ("retraction", "Retracted Publication", True),
        ("protocol", "Clinical Trial Protocol", True),
        ("conference abstract", "Meeting Abstract", True),
        ("dissertation", "Thesis", True),
        ("theses", "Dissertations", True),
        ("news", "News", True),
        ("interview", "Interview", True),
        ("review", "Review", True),
        ("review", "Systematic Review", False),
        ("review", "Book Review", False),
        ("letter", "Newsletter", False),
        ("letter", "Journal Article", False),
        ("comment", "Commented edition", False),
        ("conference abstract", "Conference Paper", False),
        ("editorial", "", False),
    ],
)
def test_types(excluded, field, removed):
    found = check(Record(title="T", type=field), Limits(exclude_types=(excluded,)))
    assert kind(found) == (("Removal", "type") if removed else None)


def test_a_type_in_a_field_of_its_own_and_its_reason():
    record = Record(title="T", type="Journal article", extra={"PT": ("Journal Article", "Letter")})
    assert check(record, Limits(exclude_types=("editorial", "letter"))) == Removal(
        "type", "its type is 'Letter'; the protocol excludes 'letter'"
    )


# -- together ---------------------------------------------------------------------------------


def test_a_removal_goes_before_a_proposal_and_language_before_the_rest():
    limits = Limits(("English",), date(1980, 1, 1), date(2010, 8, 31), ("letter",))
    seems_french = Record(title=FRENCH_TEXT, year=2015, type="Letter")
    assert kind(check(seems_french, limits)) == ("Removal", "date")
    assert kind(check(Record(title=FRENCH_TEXT, year=2005, type="Letter"), limits)) == ("Removal", "type")
    assert kind(check(Record(title=FRENCH_TEXT, year=2005), limits)) == ("Proposal", "language")
    assert kind(check(Record(title="Hope", language="fre", year=2015, type="Letter"), limits)) == (
        "Removal",
        "language",
    )


def test_every_language_field_of_real_exports_is_understood():
    if not EXPORTS.is_dir():
        pytest.skip("shared/data/exports is not here")
    files = [
        EXPORTS / "asysd" / name
        for name in ("ris_export.txt", "wos_test.ris", "zotero_export.csv", "zotero_export.ris")
    ]
    records = [record for file in files for record in formats.read(file).records if record.language]
    found = [check(record, ENGLISH) for record in records]
    assert len(records) > 2000
    assert not [f for f in found if isinstance(f, Proposal)]
    written_in = {f.reason.split(";")[0].removeprefix("written in ") for f in found if f is not None}
    assert written_in == {
        "Chinese",
        "Czech",
        "Dutch",
        "French",
        "German",
        "Hungarian",
        "Italian",
        "Lithuanian",
        "Norwegian",
        "Polish",
        "Portuguese",
        "Russian",
        "Spanish",
    }


def test_few_english_records_are_proposed():
    """The demonstration's records give no language; 4 of them are not in English."""
    records = [
        record
        for name in ("pubmed.nbib", "scopus.ris", "web_of_science.csv")
        for record in formats.read(ROOT / "data" / "demo" / name).records
    ]
    proposed = {r.title for r in records if kind(check(r, ENGLISH)) == ("Proposal", "language")}
    assert "[Safety of cell salvage in tumor surgery : Systematic review with meta-analysis]" in proposed
    assert any(title.startswith("Efectos de la rehabilitación") for title in proposed)
    assert len(proposed) == 4
