"""Two records: what is a copy, what a person must decide, and what is neither."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from dedupe_helpers import ABSTRACT, TITLE, article, at, numbered, pairs, questions

from triage.dedupe import Link, find_duplicates
from triage.records import Record

# -- what is a copy ---------------------------------------------------------------------------


def test_same_pmid_with_another_title_and_no_doi():
    records = numbered(Record(title="Hope", pmid="123"), Record(title="[Hoffnung]", pmid="123", year=2011))
    assert find_duplicates(records) == [Link(2, 1, True, "same PMID")]


def test_same_doi_whose_titles_agree():
    cut_short = article(title="Peer support for adults with schizophrenia", doi="10.1/x", authors=(), abstract="")
    misread = article(title="Peer support for adults with schizopbrenia: a randomised trial", doi="10.1/x", abstract="")
    assert find_duplicates(numbered(article(doi="10.1/x"), cut_short, misread)) == [
        Link(2, 1, True, "same DOI"),
        Link(3, 1, True, "same DOI"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        article(title="<i>Peer</i>-support for adults with schizophrenia: a randomised trial. [Review] [45 refs]"),
        article(title="PEER SUPPORT FOR ADULTS WITH SCHIZOPHRENIA - A RANDOMISED TRIAL [Chinese]"),
        article(title=f"RETRACTED: {TITLE}"),
        article(title=f"{TITLE} [Erratum appears in Recovery. 2011 May;3(1):9]"),
        article(authors=("Jane A. Smith",)),
        article(authors=("Smith JA",)),
        article(abstract=""),
        article(doi="10.1/x", pmid="7"),
    ],
    ids=lambda r: f"{r.title[-12:]}|{r.authors[0]}|{r.doi}",
)
def test_same_title_year_and_first_author(other):
    bare = article(abstract="")
    assert [link.why for link in find_duplicates(numbered(bare, other))] == ["same title, year and first author"]


def test_same_title_and_abstract_without_author_and_a_year_later():
    other = article(authors=(), year=2011, abstract=f"{ABSTRACT.upper()} (C) 2011 The Authors.")
    assert [link.why for link in find_duplicates(numbered(article(), other))] == ["same title and abstract"]


@pytest.mark.parametrize(("volume", "page"), [("VL", "SP"), ("VI", "PG"), ("Volume", "Pages")])
def test_same_title_volume_and_first_page_whoever_comes_first(volume, page):
    one = article(abstract="", extra={"VL": ("12",), "SP": ("0101",), "EP": ("109",)})
    other = article(abstract="", authors=("Jane, Smith",), extra={volume: ("12 Suppl 1",), page: ("101-9",)})
    assert [link.why for link in find_duplicates(numbered(one, other))] == ["same title, volume and first page"]


def test_a_short_title_needs_place_and_author():
    place = {"VL": ("377",), "SP": ("1693",)}
    lancet = Record(title="Stroke rehabilitation", authors=("Langhorne, P.",), year=2011, extra=place)
    assert pairs(lancet, replace(lancet, authors=("Langhorne, Peter",))) == {(2, 1)}
    assert pairs(lancet, replace(lancet, authors=("Bernhardt, J.",))) == set()
    assert pairs(replace(lancet, extra={}), replace(lancet, extra={})) == set()


def test_a_wrong_doi_gives_way_to_one_place_and_one_abstract():
    place = {"VL": ("7",), "SP": ("57",)}
    assert pairs(article(doi="10.1/1", extra=place), article(doi="10.1/7", extra=place)) == {(2, 1)}
    assert pairs(article(doi="10.1/1", extra=place), article(doi="10.1/7", extra=place, abstract="")) == set()


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (at(), at(title=TITLE.replace("adults", "adlts")), "similar title, same volume, first page and first author"),
        (at(), at(title=TITLE.split(":")[0]), "similar title, same volume, first page and first author"),
        (
            at(),
            at(title=f"[{TITLE}] LA: Chi", authors=("Smith, J.",)),
            "similar title, same volume, first page and first author",
        ),
        (
            at(),
            at(title="Support of peers for adults with psychoses: a randomised trial"),
            "same volume, pages, year and authors",
        ),
        (
            at(),
            at(title="Pairs aidantes: un essai chez des adultes schizophrenes", authors=("Smith, J", "Wu, L")),
            "same volume, pages, year and authors",
        ),
        (at(), at(pages="101"), "same title, volume and first page"),
        (at(), at(pages="pp. 101\u2013109; discussion 110", year=2011), "same title, volume and first page"),
        (at(pages="487-8"), at(pages="488"), "same title, volume and first page"),
        (at(pages="S101-S109"), at(volume="12 Suppl 2", pages="101-9"), "same title, volume and first page"),
        (
            at(title="Interferon-\u03b3 in phase II trials of two vaccines"),
            at(title="Interferon gamma in phase 2 trials of 2 vaccines"),
            "same title, volume and first page",
        ),
        (at(pages="969-72"), at(pages="a1754"), "same title, year and first author"),
        (at(pages="1-7"), at(pages="765-771"), "same title, year and first author"),
        (
            at(),
            at(title=TITLE.replace("adults", "adlts"), extra={}, journal="recovery"),
            "similar title, same year, authors and journal or first page",
        ),
        (
            article(authors=("Smith J and Wu L",)),
            article(authors=("Jane Smith", "Li Wu"), title=f"{TITLE} in Leeds"),
            "same abstract and authors, similar title",
        ),
        (
            at(authors=("[Anonymous]",)),
            at(extra={}, authors=(), journal="RECOVERY-BASEL"),
            "same title, year and journal or first page",
        ),
        (
            at(title="Pleuritis carcinomatosa", pages="01-Aug", journal="Journal of Tropical Pediatrics"),
            at(title="[Pleuritis carcinomatosa]", pages="524", journal="J Trop Pediatr"),
            "same title, year and first author",
        ),
        (
            at(title=f"Erratum: {TITLE}"),
            at(title=f"{TITLE} (vol 33, pg 717, 2019)"),
            "same title, volume and first page",
        ),
        (
            at(extra={"VL": ("12",), "IS": ("3",), "SP": ("101",)}),
            at(extra={"Volume": ("12",), "Issue": ("3",), "Pages": ("301",)}),
            "same title, authors and issue of a journal",
        ),
        (at(), at(pages="101", volume="", journal="Peers and Recovery"), "same title, year and first author"),
        (
            at(),
            at(title=TITLE.replace("adults", "adlts"), pages="101", volume="", journal="Peers and Recovery"),
            "similar title, same year, authors and journal or first page",
        ),
        (at(type="Article"), at(type="Conference Abstract"), "same title, volume and first page"),
        (at(doi="10.1/x", title="Hope"), at(doi="10.1/x", title="Esperanza y recuperacion de los adultos"), "same DOI"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_written_otherwise(one, other, why):
    assert find_duplicates(numbered(one, other)) == [Link(2, 1, True, why)]
    assert find_duplicates(numbered(other, one)) == [Link(2, 1, True, why)]


# -- what a person must decide ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "why"),
    [
        (at(), at(pages="301-309"), "same title and authors, but other pages"),
        (at(), at(year=2011, extra={}), "same title and authors, but another year"),
        (at(), at(year=2014), "same title and volume and first page, but another year"),
        (at(doi="10.1/a"), at(doi="10.1/b"), "same title and volume and first page, but another DOI"),
        (
            article(doi="10.1101/2020.04.01.200401"),
            article(doi="10.5/b"),
            "same title and abstract, but another DOI and another type",
        ),
        (article(journal="medRxiv"), article(), "same title and abstract, but another type and another journal"),
        (at(), at(extra={}, journal="Psychiatry"), "same title and authors, but another journal"),
        (
            at(),
            at(title=TITLE.replace("schizophrenia", "depression"), pages="101"),
            "similar title and volume and first page, but too little else is known",
        ),
        (
            at(),
            at(title=TITLE.replace("schizophrenia", "depression"), authors=()),
            "similar title and volume and first page, but too little else is known",
        ),
        (at(), at(type="Conference Abstract", extra={}), "same title and authors, but too little else is known"),
        (at(title="Hope"), at(title="Hope", extra={}), "same title and authors, but too little else is known"),
        (
            at(pmid="5"),
            article(title="Yeasts in the guts of beetles", pmid="5", authors=("Diaz, P",)),
            "same PMID, but another title and other authors",
        ),
        (
            at(doi="10.1/x", pages="101"),
            at(doi="10.1/x", pages="101", title="Yeasts in the guts of beetles"),
            "same DOI, but another title",
        ),
        (at(title=""), at(), "volume and first page, but too little else is known"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_question(one, other, why):
    assert find_duplicates(numbered(one, other)) == [Link(2, 1, False, why)]
    assert find_duplicates(numbered(other, one)) == [Link(2, 1, False, why)]


def test_each_pair_of_groups_is_asked_about_once_by_its_lowest_ids():
    elsewhere = article(abstract="", extra={"VL": ("12",), "SP": ("301",)})
    here = at()
    records = [elsewhere, Record(title="Yeasts in beetles"), here, here, elsewhere, here]
    links = find_duplicates(numbered(*records))
    assert [(link.copy_id, link.kept_id, link.sure) for link in links] == [
        (4, 3, True),
        (5, 1, True),
        (6, 3, True),
        (3, 1, False),
    ]


def test_a_title_that_many_have_is_no_question():
    yearly = [at(title="Annual report of the county asylum", pages=str(n)) for n in range(101, 141)]
    assert find_duplicates(numbered(*yearly)) == []
    assert len(find_duplicates(numbered(*yearly[:3]))) == 3


# -- what is none -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        article(doi="10.1/b"),
        article(pmid="2"),
        article(year=2014),
        article(extra={"SP": ("99",)}),
        article(extra={"VL": ("8",)}),
        article(type="Conference Abstract"),
        article(type="Published Erratum"),
        article(title=f"Erratum: {TITLE}"),
        article(title=f"{TITLE}: reply"),
        article(authors=("Jones, Ann",), abstract=""),
        article(
            abstract="Purpose: to tell which yeasts live in the guts of beetles. We opened forty beetles from oak and "
            "pine, plated what we found, and sequenced one gene of every colony that grew within two days."
        ),
    ],
    ids="doi, pmid, year, page, volume, conference, erratum type, erratum, reply, author, abstract".split(", "),
)
def test_what_contradicts_keeps_records_apart(other):
    known = article(doi="10.1/a", pmid="1", type="Article", extra={"SP": ("1",), "VL": ("3",)})
    assert pairs(known, other) == set()


@pytest.mark.parametrize(
    "title",
    [
        "Editorial",
        "Letter to the editor",
        "Reply",
        "Introduction",
        "Introduction to the special issue",
        "Abstracts of the annual meeting",
        "Hope",
        "",
    ],
)
def test_bare_titles_say_nothing(title):
    assert pairs(*[Record(title=title, authors=("Smith, J",), year=2010)] * 3) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at(title=f"{TITLE}, part 1"), at(title=f"{TITLE}, part 2", pages="110-120")),
        (at(title=f"{TITLE}, part I", extra={}), at(title=f"{TITLE}, part II", extra={})),
        (
            article(title="Cancer statistics in the county, 2019"),
            article(title="Cancer statistics in the county, 2020"),
        ),
        (at(), at(title=f"{TITLE}: study protocol", extra={})),
        (at(), at(title=f"Reply to: {TITLE}")),
        (at(), at(title=f"{TITLE} - author's reply")),
        (at(), at(title=f"{TITLE} (vol 12, pg 101, 2010)")),
        (
            at(journal="https://clinicaltrials.gov/show/NCT01565798"),
            at(journal="https://clinicaltrials.gov/show/NCT01678612"),
        ),
        # A congress abstract and its article.
        (at(), at(volume="44", pages="A33", journal="Value in Health")),
        (at(type="Article"), at(type="Conference Abstract", extra={})),
        (article(doi="10.1/a", abstract=""), article(doi="10.1/b", abstract="")),
        (article(doi="10.1/a"), article(doi="10.1/b", title=TITLE.replace("schizophrenia", "depression"))),
        # Two abstracts on one page of a supplement.
        (at(pages="A606"), at(pages="A606", title="Yeasts in the guts of adults with beetles")),
        (at(), at(title="Yeasts in the guts of beetles", authors=("Wu, L",))),
        (at(pmid="1"), at(pmid="2")),
    ],
    ids=lambda record: record.title[-20:],
)
def test_neither_sure_nor_a_question(one, other):
    assert find_duplicates(numbered(one, other)) == []


def test_abstracts_that_share_their_supplements_doi():
    titles = (
        "Peer support",
        "Peer support in Leeds and its cost: a model",
        "Yeasts in beetles",
        "Oak and pine in drought",
        "Poster 1",
        "Poster 12",
    )
    assert pairs(*[Record(title=title, doi="10.1/supplement") for title in titles]) == set()


@pytest.mark.parametrize(
    "one, other",
    [
        ("Cardiac function in overt hypothyroidism: a cohort study", "Cardiac function in overt hyperthyroidism: a cohort study"),
        ("Vitamin D in patients with asthma of any kind", "Vitamin D in patients without asthma of any kind"),
        ("Preoperative anxiety in adults having a hip replaced", "Postoperative anxiety in adults having a hip replaced"),
        ("Maternal smoking and asthma in the offspring", "Paternal smoking and asthma in the offspring"),
        ("Recovery of inpatients after a first episode of psychosis", "Recovery of outpatients after a first episode of psychosis"),
        ("Survival of adults on invasive ventilation at home", "Survival of adults on noninvasive ventilation at home"),
        ("Pain in female workers of a large textile factory", "Pain in male workers of a large textile factory"),
    ],
)  # fmt: skip
def test_titles_that_say_the_opposite_are_no_copies(one, other):
    a, b = article(title=one, abstract=""), article(title=other, abstract="")
    assert pairs(a, b) == set()
    misspelt = article(title=one.replace("e", "", 1), abstract="")
    assert pairs(a, misspelt) == {(2, 1)}


def in_issue(issue: str, **changes) -> Record:
    return article(extra={"VL": ("27",), "IS": (issue,)}, abstract="", **changes)


def test_a_column_that_appears_in_every_issue_is_no_copy_of_itself():
    first, second, again = in_issue("1"), in_issue("2"), in_issue("1")
    assert pairs(first, second) == set() and questions(first, second) == [(2, 1)]
    assert pairs(first, again) == {(2, 1)}
    # Past the issues of a year the numbers count something else, such as an export's rows.
    assert pairs(in_issue("600"), in_issue("241")) == {(2, 1)}


def test_two_articles_on_the_same_pages_of_two_issues():
    def on_pages(title, issue):
        place = {"VL": ("7",), "IS": (issue,), "SP": ("54",), "EP": ("59",)}
        return article(title=title, extra=place, abstract="")

    one = "Algorithms that choose whom to hire: automated screening and analytics"
    other = "The sale of digital labour: outsourcing, insecure employment and platforms"
    assert pairs(on_pages(one, "1"), on_pages(other, "2")) == set()
    assert pairs(on_pages(one, "1"), on_pages(other, "1")) == {(2, 1)}


def test_one_registration_of_a_trial_in_two_exports_of_a_register():
    def registered(number, title=TITLE):
        return Record(title=title, extra={"NCT Number": (number,)})

    same = registered("NCT00392093"), registered("NCT00392093")
    assert find_duplicates(numbered(*same)) == [Link(2, 1, True, "same title and trial registration")]
    assert pairs(registered("NCT00392093"), registered("NCT00000003")) == set()
    assert questions(registered("NCT00392093"), registered("NCT00000003")) == []


def test_letters_without_an_accent_to_drop_are_those_that_others_write():
    turkish = article(authors=("Y\u0131ld\u0131z, Ahmet", "I\u015f\u0131k, Bora"), abstract="")
    assert pairs(turkish, article(authors=("Yildiz A", "Isik B"), abstract="")) == {(2, 1)}


def test_an_erratum_under_its_papers_doi():
    assert pairs(article(doi="10.1/x"), article(title=f"Correction to: {TITLE}", doi="10.1/x")) == set()
    assert pairs(article(doi="10.1/x"), article(type="Published Erratum", doi="10.1/x")) == set()


def test_parts_of_a_series_under_one_doi():
    one, two = (article(title=f"The shaking pups of the spaniel, part {n}", doi="10.1/x", abstract="") for n in (1, 2))
    assert pairs(one, two) == set()


def test_a_pmid_that_went_astray():
    other = Record(title="Yeasts in the guts of beetles", pmid="5", doi="10.1/b")
    assert pairs(article(pmid="5", doi="10.1/a"), other) == set()


# -- pairs of a kind --------------------------------------------------------------------------

PAIRS = json.loads((Path(__file__).parent / "files" / "duplicate_pairs.json").read_text(encoding="utf-8"))
NEVER_SURE = ("companion papers", "columns of one editor", "other titles in two issues")
NEVER_MISSED = (
    "one number of a register",
    "long title without a year",
    "proceedings under the year after",
    "supplement's number for a volume",
    "title in two languages",
)


def from_file(fields: dict) -> Record:
    lists = {
        "authors": tuple(fields.get("authors", ())),
        "extra": {k: tuple(v) for k, v in fields.get("extra", {}).items()},
    }
    return Record(**fields | lists)


def outcome(one: Record, other: Record) -> str:
    """Say what becomes of two records: sure, maybe or apart."""
    links = find_duplicates(numbered(one, other))
    return "apart" if not links else "sure" if links[0].sure else "maybe"


def test_the_file_of_pairs_holds_twenty_of_each_kind_and_what_each_kind_allows():
    count = Counter(pair["kind"] for pair in PAIRS)
    assert set(count) == {*NEVER_SURE, *NEVER_MISSED} and min(count.values()) >= 20
    outcomes = {(pair["kind"], pair["outcome"]) for pair in PAIRS}
    assert outcomes.isdisjoint((kind, "sure") for kind in NEVER_SURE)
    assert outcomes.isdisjoint((kind, "apart") for kind in NEVER_MISSED)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair['kind']}: {pair['one']['title'][:30]}")
def test_a_pair_of_the_file(pair):
    one, other = from_file(pair["one"]), from_file(pair["other"])
    assert outcome(one, other) == pair["outcome"]
    assert outcome(other, one) == pair["outcome"]


COMPANIONS = [(p["one"]["title"], p["other"]["title"]) for p in PAIRS if p["kind"] == "companion papers"]


@pytest.mark.parametrize(
    "common",
    [
        {},
        {"year": None},
        {"authors": ()},
        {"journal": ""},
        {"abstract": ""},
        {"abstract": "", "extra": {"VL": ("12",), "IS": ("3",)}},
        {"extra": {"VL": ("12",), "IS": ("3",), "SP": ("101",)}},
        {"extra": {"VL": ("12",), "IS": ("3",), "SP": ("S101",)}},
        {"extra": {"VL": ("12",), "SP": ("101",), "EP": ("109",)}},
        {"doi": "10.1000/supplement"},
        {"type": "Conference Abstract"},
    ],
    ids=str,
)
def test_companion_papers_are_never_sure_whatever_else_they_have_in_common(common):
    joined = [
        titles
        for titles in COMPANIONS
        if outcome(*(article(**{"title": title} | common) for title in titles)) == "sure"
    ]
    assert joined == []
