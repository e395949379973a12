"""Registers of trials and other sources whose exports are JSON, XML of plain fields, or texts made for reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triage import formats
from triage.errors import InputError

CENTRAL = """Record #1 of 2
ID: CN-01234567
AU: Smith J
AU: Jones K
TI: A trial of peer support: a
randomised study
SO: Journal of things
YR: 2019
VL: 12
NO: 3
PG: 1-10
PM: PUBMED 12345678
PT: Journal article; Randomized controlled trial
KY: Adult; Peer group
DOI: 10.1000/ABC
AB: BACKGROUND: This is it. METHODS: more text.
US: https://www.cochranelibrary.com/x

Record #2 of 2
ID: CN-01234568
AU: Roe R
TI: Second trial
SO: Trials
YR: 2020
AB: Other abstract
"""
REFWORKS = """RT Journal Article
SR Electronic(1)
ID 123
A1 Smith,J.
A1 Jones,K.
T1 A trial of peer support
JF Journal of things
YR 2019
VO 12
SP 1
OP 10
K1 Adults
K1 Peers
AB Some abstract text here
DO 10.1000/abc
LA English

RT Book, Section
SR Print(0)
ID 124
A1 Roe,R.
T1 Second
YR 2020
"""
SUMMARY = """1: Wang Y, Li X, O'Brien-Smith JA Jr. Peer support in adults: a 2019 study. Does it
work? A trial. Int J Environ Res Public Health. 2022 Feb 9;19(4):1940. doi:
10.3390/ijerph19041940. PMID: 35206130; PMCID: PMC8871873.

2: van den Berg A; COVID Group. Second title [letter]. Lancet (London). 2020;395:1. PMID:
123.

3: Vitamin D. BMJ. 2019 Jan 2. doi: 10.1136/x. Epub 2018 Dec 1. PMID: 30000001.
"""
ABSTRACT = """1. Lancet. 2020 Feb 15;395(10223):497-506. doi: 10.1016/S0140-6736(20)30183-5. Epub
2020 Jan 24.

Clinical features of patients infected with 2019 novel coronavirus in Wuhan,
China.

Huang C(1), Wang Y(2), Li X(3).

Author information:
(1)Jin Yin-tan Hospital, Wuhan, China.

Comment in
    Lancet. 2020 Feb 15;395(10223):470-473. PMID: 31986257.

BACKGROUND: A recent cluster.

FINDINGS: By Jan 2.

Copyright 2020 Elsevier Ltd. All rights reserved.

DOI: 10.1016/S0140-6736(20)30183-5
PMCID: PMC7159299
PMID: 31986264 [Indexed for MEDLINE]


2. BMJ. 2019 Jan 2;1:2.

A title.

Smith J.

PMID: 3000
"""
PROQUEST = """____________________________________________________________
Document 1 of 2

A study of alpha

Author: Smith, J; Jones, K

ProQuest document link

Abstract: Some abstract text.

Methods: Its second paragraph.

Subject: Adults; Peers;

Title: A study of alpha

Publication title: Journal of Things

Publication year: 2019

DOI: http://dx.doi.org/10.1000/abc

Document type: Journal Article

Database: PsycINFO

____________________________________________________________
Document 2 of 2

Second

Author: Roe, R

Abstract: Text

Title: Second

Publication year: 2020

____________________________________________________________
Contact us at: http://www.proquest.com/go/contactsupport
Database copyright 2020 ProQuest LLC. All rights reserved.
"""
EU_REGISTER = """EudraCT Number:         2011-001234-12
Sponsor Protocol Number: ABC
Full Title:              A randomised trial of alpha
Start Date*:             2012-01-01
Medical condition:       Lupus

EudraCT Number:         2011-001235-12
Sponsor Protocol Number: XYZ
Full Title:              Another
Start Date*:             2013-01-01
"""
EMBASE = """"TITLE","A study of alpha"
"AUTHOR NAMES","Smith J.","Jones K."
"SOURCE","Gut (2014) 63:1 (5-9). Date of Publication: 2014"
"PUBLICATION YEAR","2014"
"ABSTRACT","Some, abstract"
"DOI","10.1136/gutjnl"
"EMTREE DRUG INDEX TERMS","alpha","beta"

"TITLE","Second"
"AUTHOR NAMES","Roe R."
"PUBLICATION YEAR","2015"
"ABSTRACT","Other"
"""
ICTRP = """<?xml version='1.0' encoding='UTF-8' ?>
<Trials_downloaded_from_ICTRP>
  <Trial><Export_date>08/28/2026 20:14:44</Export_date>
    <TrialID>ChiCTR2000029949
    </TrialID>
    <Public_title>A public title
    </Public_title>
    <Scientific_title>A phase 1 study
    </Scientific_title>
    <Acronym/>
    <Date_registration3>20200216</Date_registration3>
    <Date_registration>2020-02-16</Date_registration>
  </Trial>
  <Trial><TrialID>NCT00392093</TrialID><Public_title/><Scientific_title>Only scientific &amp; more</Scientific_title></Trial>
</Trials_downloaded_from_ICTRP>"""
CLINICAL_STUDY = """<?xml version="1.0" encoding="UTF-8"?>
<clinical_study rank="1"><id_info><nct_id>NCT00000001</nct_id></id_info><brief_title>Brief</brief_title>
<official_title>Official</official_title><brief_summary><textblock>
      Sum text.
    </textblock></brief_summary><study_first_posted type="Actual">November 4, 1999</study_first_posted></clinical_study>"""
EUROPE_PMC = """<?xml version="1.0"?><responseWrapper><version>6</version><hitCount>1</hitCount><resultList><result>
<id>1</id><pmid>123</pmid><doi>10.1000/x</doi><title>A &lt;i&gt;T&lt;/i&gt; <i>x</i></title>
<authorString>Roe A, Poe B.</authorString>
<authorList><author><fullName>Roe A</fullName><firstName>Ann</firstName><lastName>Roe</lastName></author></authorList>
<journalInfo><journal><title>J</title></journal></journalInfo><pubYear>2019</pubYear><abstractText>Abs</abstractText>
</result></resultList></responseWrapper>"""
REFWORKS_TABLE = (
    "Reference Type\tAuthors, Primary\tTitle Primary\tPeriodical Full\tPub Year\tAbstract\n"
    "Journal Article\tRoe,A.;Poe,B.\tT\tJ\t2019\tAbs\n"
)
OPENALEX = {
    "id": "https://openalex.org/W1",
    "doi": "https://doi.org/10.1000/ABC",
    "title": "A study",
    "publication_year": 2019,
    "ids": {"openalex": "x", "pmid": "https://pubmed.ncbi.nlm.nih.gov/123"},
    "language": "en",
    "primary_location": {"source": {"display_name": "J Things"}},
    "type": "article",
    "authorships": [{"author": {"display_name": "Ann Roe"}, "raw_author_name": "A Roe"}],
    "abstract_inverted_index": {"We": [0], "study": [1, 3], "a": [2]},
    "biblio": {"volume": "3"},
    "concepts": [{"display_name": "c", "score": 0.4}],
}
CT_GOV = {
    "protocolSection": {
        "identificationModule": {"nctId": "NCT00392093", "briefTitle": "Effect of alpha", "officialTitle": "Official"},
        "statusModule": {"startDateStruct": {"date": "1996-04"}, "studyFirstPostDateStruct": {"date": "2006-10-25"}},
        "descriptionModule": {"briefSummary": "A brief summary", "detailedDescription": "Long"},
        "conditionsModule": {"conditions": ["Lupus"], "keywords": ["a", "b"]},
    },
    "hasResults": False,
}
CSL = {
    "id": "x/1",
    "type": "article-journal",
    "title": "A <i>study</i>",
    "container-title": "J Things",
    "author": [{"family": "Roe", "given": "Ann"}, {"literal": "Group X"}],
    "issued": {"date-parts": [["2019", 3, 1]]},
    "DOI": "10.1000/abc",
    "PMID": "123",
    "abstract": "<jats:p>Text &amp; more</jats:p>",
}
CROSSREF = {
    "status": "ok",
    "message": {
        "items": [
            {
                "reference": [{"key": "1", "article-title": "Cited", "year": "2001", "author": "X"}],
                "DOI": "10.1000/abc",
                "title": ["Main"],
                "author": [{"given": "Ann", "family": "Roe"}],
                "container-title": ["J"],
                "issued": {"date-parts": [[2019, 1]]},
            }
        ]
    },
}
LENS = {
    "total": 1,
    "data": [
        {
            "lens_id": "000",
            "title": "T",
            "abstract": "A",
            "authors": [{"first_name": "Ann", "last_name": "Roe"}],
            "external_ids": [{"type": "doi", "value": "10.1000/abc"}, {"type": "pmid", "value": "123"}],
            "year_published": 2019,
            "source": {"title": "J"},
        }
    ],
}
SCHOLAR = {
    "corpusid": 1,
    "externalids": {"DOI": "10.1000/abc", "PubMed": "123"},
    "title": "T",
    "authors": [{"authorId": "1", "name": "Ann Roe"}],
    "year": 2019,
    "journal": {"name": "J", "pages": "1"},
    "abstract": "A",
}
PUBLISH_OR_PERISH = {"title": "A study", "authors": ["KG Roe", "P Poe"], "source": "Sensors", "year": 2018, "cites": 3}
EPPI = {
    "CodeSets": [{"SetName": "x", "Attributes": {"AttributesList": [{"AttributeName": "q"}]}}],
    "References": [{"ItemId": 1, "Title": "T", "ParentTitle": "J", "Year": "2019", "Authors": "Roe A ; Poe B ;"}],
}
ZOTERO = {
    "key": "K",
    "data": {
        "itemType": "journalArticle",
        "title": "T",
        "creators": [
            {"creatorType": "author", "firstName": "Ann", "lastName": "Roe"},
            {"creatorType": "editor", "firstName": "E", "lastName": "D"},
        ],
        "abstractNote": "A",
        "publicationTitle": "J",
        "date": "2019-03",
    },
}
# name: (text, format, (title, abstract, authors, year, journal, doi, pmid) of each record)
SOURCES: dict[str, tuple[str, str, list[tuple[object, ...]]]] = {
    "central.txt": (
        CENTRAL,
        "labelled-text",
        [
            (
                "A trial of peer support: a randomised study",
                "BACKGROUND: This is it. METHODS: more text.",
                ("Smith J", "Jones K"),
                2019,
                "Journal of things",
                "10.1000/abc",
                "12345678",
            ),
            ("Second trial", "Other abstract", ("Roe R",), 2020, "Trials", "", ""),
        ],
    ),
    "refworks.txt": (
        REFWORKS,
        "labelled-text",
        [
            (
                "A trial of peer support",
                "Some abstract text here",
                ("Smith,J.", "Jones,K."),
                2019,
                "Journal of things",
                "10.1000/abc",
                "",
            ),
            ("Second", "", ("Roe,R.",), 2020, "", "", ""),
        ],
    ),
    "summary.txt": (
        SUMMARY,
        "pubmed-text",
        [
            (
                "Peer support in adults: a 2019 study. Does it work? A trial.",
                "",
                ("Wang Y", "Li X", "O'Brien-Smith JA Jr"),
                2022,
                "Int J Environ Res Public Health",
                "10.3390/ijerph19041940",
                "35206130",
            ),
            ("Second title [letter].", "", ("van den Berg A", "COVID Group"), 2020, "Lancet (London)", "", "123"),
            ("Vitamin D.", "", (), 2019, "BMJ", "10.1136/x", "30000001"),
        ],
    ),
    "abstracts.txt": (
        ABSTRACT,
        "pubmed-text",
        [
            (
                "Clinical features of patients infected with 2019 novel coronavirus in Wuhan, China.",
                "BACKGROUND: A recent cluster.\nFINDINGS: By Jan 2.",
                ("Huang C", "Wang Y", "Li X"),
                2020,
                "Lancet",
                "10.1016/s0140-6736(20)30183-5",
                "31986264",
            ),
            ("A title.", "", ("Smith J",), 2019, "BMJ", "", "3000"),
        ],
    ),
    "proquest.txt": (
        PROQUEST,
        "labelled-text",
        [
            (
                "A study of alpha",
                "Some abstract text.\nMethods: Its second paragraph.",
                ("Smith, J", "Jones, K"),
                2019,
                "Journal of Things",
                "10.1000/abc",
                "",
            ),
            ("Second", "Text", ("Roe, R",), 2020, "", "", ""),
        ],
    ),
    "register.txt": (
        EU_REGISTER,
        "labelled-text",
        [("A randomised trial of alpha", "", (), 2012, "", "", ""), ("Another", "", (), 2013, "", "", "")],
    ),
    "embase.csv": (
        EMBASE,
        "embase-lines",
        [
            ("A study of alpha", "Some, abstract", ("Smith J.", "Jones K."), 2014, "Gut", "10.1136/gutjnl", ""),
            ("Second", "Other", ("Roe R.",), 2015, "", "", ""),
        ],
    ),
    "ictrp.xml": (
        ICTRP,
        "registry-xml",
        [("A public title", "", (), 2020, "", "", ""), ("Only scientific & more", "", (), None, "", "", "")],
    ),
    "study.xml": (CLINICAL_STUDY, "registry-xml", [("Brief", "Sum text.", (), 1999, "", "", "")]),
    "europepmc.xml": (EUROPE_PMC, "registry-xml", [("A T x", "Abs", ("Roe, Ann",), 2019, "J", "10.1000/x", "123")]),
    "refworks.tsv": (REFWORKS_TABLE, "tsv", [("T", "Abs", ("Roe,A.", "Poe,B."), 2019, "J", "", "")]),
    "openalex.jsonl": (
        f"{json.dumps(OPENALEX)}\n{json.dumps(OPENALEX)}\n",
        "json",
        [("A study", "We study a study", ("Ann Roe",), 2019, "J Things", "10.1000/abc", "123")] * 2,
    ),
    "openalex.json": (
        json.dumps({"meta": {"count": 1}, "results": [OPENALEX]}),
        "json",
        [("A study", "We study a study", ("Ann Roe",), 2019, "J Things", "10.1000/abc", "123")],
    ),
    "studies.json": (
        json.dumps([CT_GOV], indent=1),
        "json",
        [("Effect of alpha", "A brief summary", (), 2006, "", "", "")],
    ),
    "page.json": (
        json.dumps({"studies": [CT_GOV], "nextPageToken": "x"}),
        "json",
        [("Effect of alpha", "A brief summary", (), 2006, "", "", "")],
    ),
    "csl.json": (
        json.dumps([CSL]),
        "json",
        [("A study", "Text & more", ("Roe, Ann", "Group X"), 2019, "J Things", "10.1000/abc", "123")],
    ),
    "crossref.json": (json.dumps(CROSSREF), "json", [("Main", "", ("Roe, Ann",), 2019, "J", "10.1000/abc", "")]),
    "lens.json": (json.dumps(LENS), "json", [("T", "A", ("Roe, Ann",), 2019, "J", "10.1000/abc", "123")]),
    "scholar.jsonl": (json.dumps(SCHOLAR), "json", [("T", "A", ("Ann Roe",), 2019, "J", "10.1000/abc", "123")]),
    "pop.json": (
        json.dumps([PUBLISH_OR_PERISH]),
        "json",
        [("A study", "", ("KG Roe", "P Poe"), 2018, "Sensors", "", "")],
    ),
    "eppi.json": (json.dumps(EPPI), "json", [("T", "", ("Roe A", "Poe B"), 2019, "J", "", "")]),
    "zotero.json": (json.dumps([ZOTERO]), "json", [("T", "A", ("Roe, Ann",), 2019, "J", "", "")]),
}


def read(folder: Path, name: str, text: str) -> formats.Reading:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return formats.read(path)


@pytest.mark.parametrize("name", SOURCES)
def test_each_sources_fields_are_found(tmp_path: Path, name: str) -> None:
    text, format, expected = SOURCES[name]
    found = read(tmp_path, name, text)
    assert found.format == format
    got = [(r.title, r.abstract, r.authors, r.year, r.journal, r.doi, r.pmid) for r in found.records]
    assert got == expected
    assert found.announced == len(expected)
    assert not found.problems and not found.warnings


def test_what_a_register_says_beside_is_kept(tmp_path: Path) -> None:
    study = read(tmp_path, "a.json", json.dumps([CT_GOV])).records[0]
    assert study.keywords == ("a", "b")
    assert study.extra["nctId"] == ("NCT00392093",)
    assert study.extra["officialTitle"] == ("Official",)
    assert study.extra["conditions"] == ("Lupus",)
    trial = read(tmp_path, "a.xml", ICTRP).records[0]
    assert trial.extra["TrialID"] == ("ChiCTR2000029949",)
    assert trial.extra["Scientific_title"] == ("A phase 1 study",)


def test_a_broken_line_of_json_is_a_problem_of_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, "a.jsonl", f'{json.dumps(OPENALEX)}\n{{"title": "cut of\n{json.dumps(OPENALEX)}\n')
    assert [record.title for record in found.records] == ["A study", "A study"]
    assert [problem.line for problem in found.problems] == [2]
    assert found.announced == 3


def test_members_of_a_list_that_are_not_records_are_problems(tmp_path: Path) -> None:
    found = read(tmp_path, "a.json", json.dumps([CSL, "text", None, {"title": "", "year": 2001}]))
    assert len(found.records) == 1 and found.announced == 4
    assert [problem.line for problem in found.problems] == [2, 3, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": [1, 2]}', "no list of records with titles"),
        ('[{"title": "T", "year": 2019}, {"title": "U"', "not JSON after record 1"),
        ("[this is no JSON", "not JSON"),
        ("[" * 5000, "not JSON|no list of records"),
    ],
)
def test_json_without_records_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, "a.json", text)


def test_a_record_nested_too_deep_is_a_problem(tmp_path: Path) -> None:
    deep: object = "x"
    for _ in range(100):
        deep = [{"a": deep}]
    found = read(tmp_path, "a.json", json.dumps([CSL, {"title": "T", "year": 1, "more": deep}]))
    assert len(found.records) == 1
    assert "nested deeper" in found.problems[0].message


def test_two_citations_run_together_are_announced(tmp_path: Path) -> None:
    found = read(tmp_path, "a.txt", SUMMARY.replace("PMC8871873.\n\n2: ", "PMC8871873.\n2: "))
    assert len(found.records) == 2
    assert "second record in one" in found.warnings[0].message


def test_text_outside_the_records_of_a_labelled_text_is_announced(tmp_path: Path) -> None:
    found = read(tmp_path, "a.txt", f"A title that lost its ID line\n\n{CENTRAL}")
    assert "outside any record" in found.warnings[0].message


def test_json_of_any_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text(json.dumps([{**CSL, "title": "Œuvre"}], ensure_ascii=False), encoding=encoding)
        assert formats.read(path).records[0].title == "Œuvre"
