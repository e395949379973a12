"""Each format's fields, labels and hard cases, one by one."""

import csv
import re
import sqlite3
import zipfile
from pathlib import Path

import bibtexparser
import pytest
import rispy
from bibtexparser.middlewares import LatexDecodingMiddleware

from triage import formats
from triage.errors import InputError
from triage.formats import latex, markup
from triage.records import Record, normal_title

FILES = Path(__file__).parent / "files"
EXPORTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "exports"
needs_exports = pytest.mark.skipif(not EXPORTS.is_dir(), reason="shared/data/exports is not there")


def read(tmp_path, content, name="x.txt", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return formats.read(path, **options)


# -- RIS, as each database writes it ----------------------------------------------------------


def ris(tmp_path, text):
    reading = read(tmp_path, text, "x.ris")
    assert reading.announced == len(reading.records) + len(reading.problems)
    return reading


def test_ovid_writes_numbers_links_and_a_tag_after_the_end(tmp_path):
    reading = ris(
        tmp_path,
        """1.
TY  - JOUR
T1  - One
M3  - Health Psychology & Medicine [3360]
ER  -
NL  - Clin Psychol

Link to the Ovid Full Text or citation: https://x

2.
TY  - JOUR
T1  - Two
M3  - Editorial
""",
    )
    one, two = reading.records
    assert (one.title, two.title) == ("One", "Two") and reading.lines == [2, 11]
    assert one.extra["NL"] == ("Clin Psychol",) and one.extra["M3"] == ("Health Psychology & Medicine [3360]",)
    assert (one.type, two.type) == ("Journal article", "Editorial")
    assert reading.warnings == []


@pytest.mark.parametrize(
    "line, told",
    [
        (
            "Provider: American Psychological Association\nDatabase: PsycINFO\nContent: application/x-research-info-systems",
            False,
        ),
        ('Provider: JSTOR http://www.jstor.org\nDatabase: JSTOR\nContent: text/plain; charset="us-ascii"', False),
        ("Record #1 of 2", False),
        ("<12>", False),
        ("Record 12.", False),
        ("Link to the Ovid Full Text or citation:\nhttps://ovidsp.ovid.com/ovidweb.cgi?T=JS&AN=1", False),
        ("Content: what a study held.", True),
        ("Peer support in wards", True),
        ("https://example.com/paper", True),
    ],
)
def test_only_lines_that_say_something_are_told(tmp_path, line, told):
    record = "TY  - JOUR\nTI  - One\nAB  - Text.\nProvider: in an abstract\nER  - \n"
    for text in (f"{line}\n\n{record}{record}", f"{record}\n{line}\n\n{record}", f"{record}{record}\n{line}\n"):
        reading = ris(tmp_path, text)
        assert [r.abstract for r in reading.records] == ["Text.\nProvider: in an abstract"] * 2
        assert bool(reading.warnings) == told


@needs_exports
@pytest.mark.parametrize(
    "name",
    [
        "asreview/ovid_psycinfo.ris",
        "colrev/psycinfo_ris.ris",
        "colrev/jstor_ris.ris",
        "rispy/example_extraneous_data.ris",
    ],
)
def test_real_lines_between_records_are_routine(name):
    assert formats.read(EXPORTS / name).warnings == []


def test_ebsco_keeps_language_type_and_pmid_in_a_note(tmp_path):
    record = ris(
        tmp_path,
        """TY  - JOUR
TI  - One
AB  - Text.
AB  - Copyright of Gut is the property of BMJ and its content may not be copied.
N1  - Accession Number: 107520452. Language: English. Entry Date: 19900801. Publication Type: Journal Article; research. Journal Subset: Europe. PMID: NLM17460142.
ER  -
""",
    ).records[0]
    assert (record.language, record.type, record.pmid) == ("English", "Journal Article; research", "17460142")
    assert record.abstract == "Text." and record.extra["AB"][0].startswith("Copyright of Gut")


@pytest.mark.parametrize(
    "lines, pmid",
    [
        ("U1  - 35957633 [PMID]", "35957633"),
        ("U1  - 35957633", ""),
        ("PMID - 12345", "12345"),
        ("PMID  - 12345", "12345"),
        ("AN  - 12345\nDB  - MEDLINE", "12345"),
        ("AN  - 12345\nDB  - Embase", ""),
        ("N1  - Place: x\n  PMID: 777", "777"),
        (
            "DB  - Ovid MEDLINE(R)\nL2  - http://ovidsp.ovid.com/ovidweb.cgi?T=JS&PAGE=reference&D=medp&NEWS=N&AN=39012781",
            "39012781",
        ),
        ("DB  - Ovid MEDLINE(R) <1946 to 2018>\nID  - 29490001", "29490001"),
        ("ID  - 29490001", ""),
        ("DB  - Ovid MEDLINE(R) ALL\nID  - 2019-29490-001", ""),
        ("DB  - Embase\nID  - 29490001", ""),
        ("DB  - PsycINFO\nID  - 29490001", ""),
        ("DB  - MEDLINE\nID  - 29490001", ""),
        ("L2  - https://pubmed.ncbi.nlm.nih.gov/32789069/", "32789069"),
        ("N1  - Comment on PMID: 1 and PMID: 2", ""),
    ],
)
def test_pmids_wherever_they_stand(tmp_path, lines, pmid):
    assert ris(tmp_path, f"TY  - JOUR\nTI  - x\n{lines}\nER  -\n").records[0].pmid == pmid


@pytest.mark.parametrize(
    "text, authors",
    [
        ("A1  - A, B\nA1  - C, D", ("A, B", "C, D")),
        ("A2  - Editor, E", ("Editor, E",)),
        ("A3  - S, T\nA4  - U, V", ("S, T",)),
        ("A4  - U, V", ("U, V",)),
        ("AU  - A, B\nA2  - Editor, E", ("A, B",)),
    ],
)
def test_authors_in_any_of_their_tags(tmp_path, text, authors):
    record = ris(tmp_path, f"TY  - JOUR\nTI  - x\n{text}\nER  -\n").records[0]
    assert record.authors == authors
    kept = {*record.authors, *(v for tag in ("A1", "A2", "A3", "A4") for v in record.extra.get(tag, ()))}
    assert kept == {line[6:] for line in text.split("\n")}


def test_a_structured_abstract_in_several_lines_of_its_tag(tmp_path):
    text = "TY  - JOUR\nTI  - x\nAB  - BACKGROUND: a.\nAB  - METHODS: b.\nRESULTS: c.\n\nUS - based, d.\nER  -\n"
    assert ris(tmp_path, text).records[0].abstract == "BACKGROUND: a.\nMETHODS: b.\nRESULTS: c.\nUS - based, d."


def test_a_placeholder_gives_way_to_the_other_tag(tmp_path):
    record = ris(tmp_path, "TY  - JOUR\nTI  - x\nAB  - NA\nN2  - The abstract.\nER  -\n").records[0]
    assert record.abstract == "The abstract." and record.extra["AB"] == ("NA",)


def test_one_blank_in_a_record_of_two(tmp_path):
    record = ris(tmp_path, "TY  - CONF\nTI  - x\nKW - one\ntwo\nSP  - 1\nER  - \n").records[0]
    assert record.keywords == ("one", "two") and record.extra["SP"] == ("1",)


def test_files_joined_from_two_tools(tmp_path):
    reading = ris(tmp_path, "TY  - JOUR\nTI  - One\nER  - \nTY - JOUR\nTI - Two\nAB - a\nER -\nTY-JOUR\nTI- Three\n")
    assert [r.title for r in reading.records] == ["One", "Two", "Three"] and reading.records[1].abstract == "a"


def test_scripts_of_the_world(tmp_path):
    titles = [
        "\u540c\u4f34\u652f\u6301\u7684\u7814\u7a76",
        "\u041f\u043e\u0434\u0434\u0435\u0440\u0436\u043a\u0430",
        "\u03c5\u03c0\u03bf\u03c3\u03c4\u03ae\u03c1\u03b9\u03be\u03b7",
        "\u062f\u0639\u0645 \u0627\u0644\u0623\u0642\u0631\u0627\u0646",
        "\u092a\u0940\u092f\u0930",
    ]
    text = "".join(f"TY  - JOUR\nTI  - {title}\nAU  - \u738b, \u5c0f\u660e\nER  - \n" for title in titles)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        reading = ris(tmp_path, text.encode(encoding))
        assert [r.title for r in reading.records] == titles, encoding
        assert reading.records[0].authors == ("\u738b, \u5c0f\u660e",)


def test_a_file_of_two_encodings_is_read_line_by_line(tmp_path):
    utf8 = "TY  - JOUR\nTI  - Caf\u00e9 \u2013 one\nER  - \n".encode()
    windows = "TY  - JOUR\nTI  - Caf\u00e9 \u2013 two \x81\nER  - \n".encode("cp1252", "replace").replace(b"?", b"\x81")
    reading = ris(tmp_path, utf8 + windows + utf8)
    assert [r.title for r in reading.records] == [
        "Caf\u00e9 \u2013 one",
        "Caf\u00e9 \u2013 two \x81",
        "Caf\u00e9 \u2013 one",
    ]
    assert [w.line for w in reading.warnings] == [5]


def test_a_character_cut_by_the_size_of_a_chunk(tmp_path, monkeypatch):
    text = "".join(f"TY  - JOUR\nTI  - \u540c\u4f34 \u00e9 {i}\r\nER  - \r\n" for i in range(40))
    for size in (1, 2, 3, 7, 64):
        monkeypatch.setattr("triage.formats.text._CHUNK", size)
        for encoding in ("utf-8", "utf-16"):
            reading = ris(tmp_path, text.encode(encoding))
            assert [r.title for r in reading.records] == [f"\u540c\u4f34 \u00e9 {i}" for i in range(40)]
            assert reading.lines == [1 + 3 * i for i in range(40)] and not reading.warnings


@needs_exports
def test_every_real_ris_has_the_titles_that_rispy_reads():
    compared = 0
    for path in sorted(EXPORTS.glob("*/*.ris")):
        text = path.read_bytes().decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
        if text.count("\nER  -") + text.startswith("ER") < len(re.findall(r"^TY {1,2}-", text, re.MULTILINE)):
            continue  # rispy joins records that lack their end
        theirs = rispy.loads(text)
        ours = formats.read(path)
        if len(theirs) != ours.announced or ours.problems:
            continue
        for record, entry in zip(ours.records, theirs):
            title = entry.get("title") or entry.get("primary_title")
            if title:
                compared += 1
                assert normal_title(record.title) == normal_title(markup.plain(title))  # rispy leaves markup as it is
    assert compared > 3000


# -- PubMed XML -------------------------------------------------------------------------------

PUBMED = """<?xml version="1.0" ?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN" "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">
<PubmedArticleSet>
<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM"><PMID Version="1">12345</PMID>
<DateRevised><Year>2021</Year><Month>02</Month><Day>03</Day></DateRevised>
<Article PubModel="Print"><Journal><ISSN IssnType="Print">1111-2222</ISSN><JournalIssue CitedMedium="Print"><Volume>7</Volume>
<Issue>2</Issue><PubDate><Year>2020</Year><Month>Mar</Month></PubDate></JournalIssue><Title>A journal</Title></Journal>
<ArticleTitle>Effect of <i>peer</i> support: CO<sub>2</sub> &amp; more</ArticleTitle>
<ELocationID EIdType="doi" ValidYN="Y">10.1000/Two</ELocationID>
<Abstract><AbstractText Label="BACKGROUND">One <b>bold</b>.</AbstractText><AbstractText Label="RESULTS">Two.</AbstractText></Abstract>
<AuthorList><Author><LastName>Doe</LastName><ForeName>Jane</ForeName><AffiliationInfo><Affiliation>Here.</Affiliation></AffiliationInfo>
</Author><Author><CollectiveName>The Group</CollectiveName></Author></AuthorList><Language>eng</Language><Language>fre</Language>
<PublicationTypeList><PublicationType UI="D016428">Journal Article</PublicationType><PublicationType>Review</PublicationType>
</PublicationTypeList></Article><MeshHeadingList><MeshHeading><DescriptorName MajorTopicYN="Y">Peer Group</DescriptorName>
<QualifierName MajorTopicYN="N">methods</QualifierName></MeshHeading></MeshHeadingList>
<KeywordList><Keyword MajorTopicYN="N">recovery</Keyword></KeywordList></MedlineCitation>
<PubmedData><ArticleIdList><ArticleId IdType="pubmed">12345</ArticleId><ArticleId IdType="doi">10.1000/One</ArticleId>
</ArticleIdList><ReferenceList><Reference><Citation>Other work</Citation><ArticleIdList><ArticleId IdType="doi">10.9999/not-mine
</ArticleId></ArticleIdList></Reference></ReferenceList></PubmedData></PubmedArticle>
<PubmedArticle><MedlineCitation><PMID>2</PMID><Article><Journal><JournalIssue><PubDate><MedlineDate>1998 Dec-1999 Jan</MedlineDate>
</PubDate></JournalIssue></Journal><ArticleTitle>Second</ArticleTitle></Article></MedlineCitation></PubmedArticle>
<PubmedBookArticle><BookDocument><PMID>3</PMID><Book><BookTitle>The book</BookTitle><PubDate><Year>2011</Year></PubDate></Book>
<ArticleTitle>A chapter</ArticleTitle><Abstract><AbstractText>Text</AbstractText></Abstract></BookDocument></PubmedBookArticle>
<PubmedArticle><MedlineCitation><PMID>4</PMID></MedlineCitation></PubmedArticle>
</PubmedArticleSet>
"""


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_pubmed_xml(tmp_path):
    reading = read(tmp_path, PUBMED, "x.xml")
    assert (reading.format, reading.announced) == ("pubmed-xml", 4)
    first, second, book = reading.records
    assert first.title == "Effect of peer support: CO2 & more"
    assert first.abstract == "BACKGROUND: One bold.\nRESULTS: Two." and first.authors == ("Doe, Jane", "The Group")
    assert (first.pmid, first.doi, first.year, first.journal) == ("12345", "10.1000/one", 2020, "A journal")
    assert (first.language, first.type) == ("eng; fre", "Journal Article; Review")
    assert first.keywords == ("*Peer Group/methods", "recovery")
    assert first.extra["VI"] == ("7",) and first.extra["AD"] == ("Here.",) and first.extra["DP"] == ("2020 Mar",)
    assert (second.title, second.year, second.pmid) == ("Second", 1998, "2")
    assert (book.title, book.year, book.abstract) == ("A chapter", 2011, "Text")
    assert [(p.line, "no title" in p.message) for p in reading.problems] == [(line_of(PUBMED, "<PMID>4"), True)]
    assert reading.lines == [4, line_of(PUBMED, "<PMID>2"), line_of(PUBMED, "<PubmedBook")]


def test_a_broken_record_hides_no_other(tmp_path):
    text = PUBMED.replace("<ArticleTitle>Second</ArticleTitle>", "<ArticleTitle>Second</Article>")
    reading = read(tmp_path, text, "x.xml")
    assert reading.announced == 4 and [r.pmid for r in reading.records] == ["12345", "3"]
    assert [p.line for p in reading.problems] == [
        line_of(text, "<PMID>2"),
        line_of(text, "<PMID>4"),
    ] and "broken" in reading.problems[0].message
    cut = read(tmp_path, PUBMED[: PUBMED.index("1998 Dec")], "x.xml")
    assert cut.announced == 2 and [r.pmid for r in cut.records] == ["12345"] and len(cut.problems) == 1


def test_what_xml_forbids_and_exports_hold_is_mended_and_told(tmp_path):
    text = PUBMED.replace("Second", "Gen\u00e9 &nbsp;&alpha; \x02 &#x1F; R&D x")
    reading = read(tmp_path, text, "x.xml")
    assert reading.records[1].title == "Gen\u00e9 \u03b1 R&D x"
    assert any("mended" in w.message for w in reading.warnings) and len(reading.records) == 3


def test_xml_in_an_encoding_of_its_own(tmp_path):
    text = PUBMED.replace('version="1.0"', 'version="1.0" encoding="ISO-8859-2"').replace(
        "Second", "\u0141\u00f3d\u017a"
    )
    reading = read(tmp_path, text.encode("iso8859-2"), "x.xml")
    assert reading.records[1].title == "\u0141\u00f3d\u017a" and "ISO8859-2" in reading.warnings[0].message.upper()
    assert read(tmp_path, text.encode("utf-16"), "x.xml").records[1].title == "\u0141\u00f3d\u017a"


# -- EndNote ----------------------------------------------------------------------------------


def test_endnote_xml(tmp_path):
    styled = '<style face="normal" font="default" size="100%">{}</style>'.format
    text = f"""<?xml version="1.0" encoding="UTF-8" ?><xml><records><record><database name="x.enl">x.enl</database>
<rec-number>19</rec-number><ref-type name="Journal Article">17</ref-type><contributors><authors><author>{styled("Baird, J. K.")}</author>
<author>{styled("Roe, R")}</author></authors><secondary-authors><author>Ed, I</author></secondary-authors></contributors><titles>
<title>{styled("A ")}{styled("title")}</title><secondary-title>{styled("Clin Rev")}</secondary-title></titles><pages>1-9</pages>
<keywords><keyword>one&#xD;two</keyword></keywords><dates><year>{styled("2019")}</year></dates><accession-num>31366609</accession-num>
<abstract>{styled("One.&#xD;Two.")}</abstract><electronic-resource-num>doi:10.1000/ABC</electronic-resource-num>
<remote-database-provider>NLM</remote-database-provider><language>eng</language></record>
<record><ref-type name="Book">6</ref-type><titles><title>B</title></titles><abstract>[No abstract available]</abstract></record>
<record><rec-number>3</rec-number></record></records></xml>"""
    reading = read(tmp_path, text, "x.xml")
    first, second = reading.records
    assert (reading.format, reading.announced, len(reading.problems)) == ("endnote-xml", 3, 1)
    assert first == Record(
        title="A title",
        abstract="One.\nTwo.",
        authors=("Baird, J. K.", "Roe, R"),
        year=2019,
        journal="Clin Rev",
        doi="10.1000/abc",
        pmid="31366609",
        language="eng",
        type="Journal Article",
        keywords=("one", "two"),
        extra=first.extra,
    )
    assert first.extra["secondary-authors"] == ("Ed, I",) and first.extra["pages"] == ("1-9",)
    assert first.extra["electronic-resource-num"] == ("doi:10.1000/ABC",) and first.extra["accession-num"] == (
        "31366609",
    )
    assert (second.title, second.abstract, second.type) == ("B", "", "Book") and second.extra["abstract"] == (
        "[No abstract available]",
    )


@needs_exports
def test_one_library_as_zotero_writes_it_in_two_formats():
    xml, table = (formats.read(EXPORTS / "asysd" / f"zotero_export.{e}").records for e in ("xml", "csv"))
    assert len(xml) == len(table) == 1233
    by_title = {normal_title(r.title): r for r in table}
    agree = [(r, by_title[normal_title(r.title)]) for r in xml if normal_title(r.title) in by_title]
    assert len(agree) == 1233
    assert sum(a.doi == b.doi and a.year == b.year for a, b in agree) > 1200
    assert sum(a.authors == b.authors for a, b in agree) > 1150


def test_endnote_tagged_text(tmp_path):
    text = """%0 Journal Article
%T A title
%A Doe, Jane
%A Roe, R
%J A journal
%D 2019
%K one
two
%X First.

%X Second, of 95 %
%R https://doi.org/10.1000/X
%M 123
%~ PubMed
%G eng
%9 Review

%0 Book
%T B
%B A series
"""
    reading = read(tmp_path, text, "x.enw")
    assert reading.format == "enw" and reading.announced == 2 and reading.lines == [1, 18]
    first, second = reading.records
    assert first.title == "A title" and first.authors == ("Doe, Jane", "Roe, R") and first.keywords == ("one", "two")
    assert first.abstract == "First.\nSecond, of 95 %" and (first.doi, first.pmid) == ("10.1000/x", "123")
    assert (first.year, first.language, first.type) == (2019, "eng", "Review")
    assert (second.title, second.journal, second.type) == ("B", "A series", "Book")


def test_endnote_tagged_text_without_types(tmp_path):
    reading = read(tmp_path, "%T One\n%0 Journal Article\n%D 2001\n\n\n%T Two\n%D 2002\n\n%T Three\n", "x.enl")
    assert reading.announced == 3 and [r.title for r in reading.records] == ["One", "Two", "Three"]
    assert reading.lines == [1, 6, 9] and [r.type for r in reading.records] == ["Journal Article", "", ""]


# -- BibTeX -----------------------------------------------------------------------------------


def test_bibtex(tmp_path):
    text = r"""A comment of any kind, name@example.org
@comment{jabref-meta: databaseType:bibtex;}
@string{jn = "A journal"}
@Article{doe2019,
  Author = {Doe, Jane and {Health and Care Council} and M{\"u}ller, J\'{e}r\^ome},
  title = "The {DNA} of \textit{peer} support -- 50\% {\&} more",
  journal = jn # ", series B", year = 2019, month = mar,
  doi = {https://doi.org/10.1000/A\_b}, keywords = {one, two},
  abstract = {First line
     goes on.
Second, $\alpha$ and $5 or $6, a { brace } pair.},
  note = {PMID: 777},
}
@inproceedings(roe, title={In parentheses}, booktitle={Proc.}) @misc{x, title = {On one line}}
@article{doe2019, title = {The same key again}}
"""
    reading = read(tmp_path, text, "x.bib")
    assert (reading.format, reading.announced, reading.problems) == ("bibtex", 4, [])
    first, second, third, fourth = reading.records
    assert first.authors == ("Doe, Jane", "Health and Care Council", "M\u00fcller, J\u00e9r\u00f4me")
    assert first.title == "The DNA of peer support -- 50% & more" and first.journal == "A journal, series B"
    assert (first.year, first.doi, first.pmid, first.keywords) == (2019, "10.1000/a_b", "777", ("one", "two"))
    assert first.abstract == "First line goes on.\nSecond, \u03b1 and $5 or $6, a  brace  pair."
    assert (
        first.extra["citekey"] == ("doe2019",) and first.extra["month"] == ("mar",) and first.type == "Journal article"
    )
    assert (second.title, second.journal, second.type) == ("In parentheses", "Proc.", "Conference paper")
    assert (third.title, fourth.title) == ("On one line", "The same key again") and reading.lines == [4, 14, 14, 15]


def test_a_broken_entry_hides_no_other(tmp_path):
    text = """@article{a, title = {A {brace too many}, year = {2001},
  abstract = {x}
}
@article{b,
  title = {B},
  keywords = {one}, two}, {three,
  year = {2002},
}
@article{c,
no field here
@article{d, title = {D}}
"""
    reading = read(tmp_path, text, "x.bib")
    assert reading.announced == 4 and len(reading.records) + len(reading.problems) == 4
    assert [(p.line, "cannot be read" in p.message) for p in reading.problems] == [(9, True)]
    b, d = reading.records[-2:]
    assert (b.title, b.year, d.title) == ("B", 2002, "D")
    assert [w.line for w in reading.warnings] == [1, 4]


@needs_exports
def test_real_bibtex_has_the_titles_that_bibtexparser_reads():
    compared = 0
    for path in sorted(EXPORTS.glob("*/*.bib")):
        library = bibtexparser.parse_string(
            path.read_text(encoding="utf-8-sig"), append_middleware=[LatexDecodingMiddleware()]
        )
        ours = formats.read(path)
        assert ours.announced == len(library.entries) + len(library.failed_blocks)
        titles = {normal_title(r.title) for r in ours.records}
        for entry in library.entries:
            if "title" in entry.fields_dict and "&" not in entry["title"]:
                compared += 1
                assert normal_title(entry["title"].replace("{", "").replace("}", "")) in titles
    assert compared > 900


@pytest.mark.parametrize(
    "raw, text",
    [
        (
            r"\"{o}\'e\`{a}\^\i\~{n}\c{c}\v s\H{o}\k{a}\r{a}\u{g}\.{z}\={a}",
            "\u00f6\u00e9\u00e0\u00ee\u00f1\u00e7\u0161\u0151\u0105\u00e5\u011f\u017c\u0101",
        ),
        (r"{\ss} \o{} \AA \textendash{} \textgreater", "\u00df \u00f8 \u00c5\u2013 >"),
        (r"p \textless 0.05", "p <0.05"),
        (r"{A {B} c} \emph{d}", "A B c d"),
        (r"100\,000 \& \{x\}", "100,000 & {x}"),
        ("$10^5$ and $5", "10^5 and $5"),
        (r"C:\unknown\path", r"C:\unknown\path"),
        ("50% of ~20", "50% of ~20"),
        ("plain", "plain"),
    ],
)
def test_latex_is_read_where_it_is_known_and_left_where_it_is_not(raw, text):
    assert latex.plain(raw) == text


# -- Web of Science, EBSCO --------------------------------------------------------------------


def test_web_of_science(tmp_path):
    text = """\ufeffFN Clarivate Analytics Web of Science
VR 1.0
PT J
AU Doe, J
   Roe, R
AF Doe, Jane
   Roe, Richard
TI A title
   that goes on
SO A JOURNAL
LA English
DT Article; Early Access
DE peer support; recovery
ID MENTAL-HEALTH; PEOPLE
AB One
   two.
CR Smith J, 2001, X
   Poe E, 2002, Y
PY 2019
DI 10.1000/ABC
PM 123
UT WOS:1
ER

PT B
TI Second
ER

EF"""
    reading = read(tmp_path, text, "savedrecs.ciw")
    assert (reading.format, reading.announced, reading.lines, reading.warnings) == ("wos", 2, [3, 25], [])
    first, second = reading.records
    assert first == Record(
        title="A title that goes on",
        abstract="One two.",
        authors=("Doe, Jane", "Roe, Richard"),
        year=2019,
        journal="A JOURNAL",
        doi="10.1000/abc",
        pmid="123",
        language="English",
        type="Article; Early Access",
        keywords=("peer support", "recovery", "MENTAL-HEALTH", "PEOPLE"),
        extra=first.extra,
    )
    assert first.extra["CR"] == ("Smith J, 2001, X", "Poe E, 2002, Y") and first.extra["AU"] == ("Doe, J", "Roe, R")
    assert (second.title, second.type) == ("Second", "Book")


@needs_exports
def test_web_of_science_as_rispy_reads_it():
    path = EXPORTS / "rispy" / "example_wos.ris"
    theirs = rispy.loads(path.read_text(encoding="utf-8-sig"), implementation=rispy.WokParser)
    ours = formats.read(path).records
    assert [normal_title(r.title) for r in ours] == [normal_title(e["document_title"]) for e in theirs]


def test_ebsco_xml(tmp_path):
    text = """<records><rec resultID="1"><header shortDbName="psyh" longDbName="APA PsycInfo" uiTerm="2024-1"><controlInfo><bkinfo>
<btl>A title &amp; more</btl><aug /></bkinfo><jinfo><jtl>The journal</jtl><issn type="Print">01650327</issn></jinfo><pubinfo>
<dt year="2024" month="02" day="15">20240215</dt><vid>347</vid></pubinfo><artinfo><ui type="doi">10.1000/X</ui>
<ui type="pmid">NLM38007102</ui><tig><atl>A title &amp; more</atl></tig><aug><au>Yin, Anxin</au><au>Shi, Y</au></aug><sug>
<subj type="major">Birth</subj></sug><ab>Text.</ab><pubtype>Journal</pubtype><doctype>Journal Article</doctype></artinfo>
<language>English</language></controlInfo></header></rec><rec resultID="2"><header uiTerm="2"><controlInfo><bkinfo><btl>B</btl>
</bkinfo><artinfo/></controlInfo></header></rec></records>"""
    reading = read(tmp_path, text, "x.xml")
    first, second = reading.records
    assert (reading.format, reading.announced) == ("ebsco-xml", 2) and second.title == "B"
    assert first == Record(
        title="A title & more",
        abstract="Text.",
        authors=("Yin, Anxin", "Shi, Y"),
        year=2024,
        journal="The journal",
        doi="10.1000/x",
        pmid="38007102",
        language="English",
        type="Journal Article",
        keywords=("Birth",),
        extra=first.extra,
    )
    assert first.extra["uiTerm"] == ("2024-1",) and first.extra["vid"] == ("347",) and "btl" not in first.extra


def test_ovid_medline_text_is_numbered(tmp_path):
    text = "<1>\nVN  - Ovid Technologies\nDB  - Ovid MEDLINE(R)\nUI  - 17\nTI  - One\nAB  - Text\nLG  - English\nYR  - 2001\n\n<2>\nVN  - Ovid\nTI  - Two\n"
    reading = read(tmp_path, text)
    assert (reading.format, reading.announced) == ("nbib", 2) and [r.title for r in reading.records] == ["One", "Two"]
    assert (reading.records[0].pmid, reading.records[0].language, reading.records[0].year) == ("17", "English", 2001)


# -- tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "above", ["", "About the data: Exported on Nov 1, 2025. Criteria: 'peer'.\n", "\n\nSearch: peer\n"]
)
def test_a_header_below_what_is_said_of_the_export(tmp_path, above):
    reading = read(tmp_path, f"{above}Title,Abstract,PubYear\nOne,a,2001\nTwo,b,2002\n", "x.csv")
    assert (reading.announced, [r.title for r in reading.records]) == (2, ["One", "Two"])
    assert reading.lines == [2 + above.count("\n"), 3 + above.count("\n")]


def test_a_table_of_web_of_science(tmp_path):
    reading = read(
        tmp_path,
        'PT\tAU\tTI\tSO\tLA\tDT\tDE\tAB\tPY\tDI\tPM\nJ\tDoe, J; Roe, R\t"Peer" support: a "study\tX\tEnglish\tArticle\ta; b\tText "q\t2019\t10.1000/a\t7\n'
        "J\tDoe, J\tSecond\tX\tEnglish\tArticle\ta\tText\t2019\t\t\n",
        "savedrecs.txt",
    )
    first = reading.records[0]
    assert reading.format == "tsv" and reading.announced == 2 and first.title == '"Peer" support: a "study'
    assert (first.year, first.doi, first.pmid, first.language) == (2019, "10.1000/a", "7", "English")
    assert first.journal == "X" and first.type == "Article" and first.keywords == ("a", "b")


def test_quotation_marks_that_are_not_csv_lose_no_row(tmp_path):
    reading = read(tmp_path, 'title,abstract\n"He said "yes" to me",a\nTwo,b\n', "x.csv")
    assert [r.title for r in reading.records] == ['He said "yes" to me', "Two"]
    text = 'id,title,year\n1,"One,2001\n2,"Two",2002\n3,Three,2003\n'
    assert [r.title for r in read(tmp_path, text, "x.csv").records] == ['"One', "Two", "Three"]
    reading = read(tmp_path, text + '4,"Four, and\nmore",2004\n5,"Five" 5,2005\n6,"Six,2006\n', "x.csv")
    assert [r.title for r in reading.records] == ['"One', "Two", "Three", "Four, and more", '"Five" 5', '"Six']
    assert (
        reading.announced == 6
        and reading.lines == [2, 3, 4, 5, 7, 8]
        and [w.line for w in reading.warnings] == [2, 7, 8]
    )


def test_the_first_column_of_several_that_has_something(tmp_path):
    text = "Title,Type,Item Type,Date,Publication Year,Extra\nA,,journalArticle,2019-05,2020,Place: x PMID: 35319117\n"
    record = read(tmp_path, text, "x.csv").records[0]
    assert (record.type, record.year, record.pmid) == ("journalArticle", 2020, "35319117") and record.extra["Date"] == (
        "2019-05",
    )


def test_embase_tells_journal_and_year_in_its_source(tmp_path):
    record = read(
        tmp_path, "Title,Author Names,Source\nA,Liu R.,Gut (2014) 3:3 (152-160). Date of Publication: 2014\n", "x.csv"
    ).records[0]
    assert (record.journal, record.year) == ("Gut", 2014)


def test_lists_as_python_writes_them(tmp_path):
    record = read(
        tmp_path, 'title,authors,keywords\nA,"[\'Marx, Karl\', \'O\\\'Neil, A\']","[\'x\', ""y""]"\n', "x.csv"
    ).records[0]
    assert record.authors == ("Marx, Karl", "O'Neil, A") and record.keywords == ("x", "y")


# -- other programs' decisions ----------------------------------------------------------------


@pytest.mark.parametrize("version, n", [(1, 9), (2, 7), (3, 7)])
def test_asreview_projects(version, n):
    reading = formats.read(FILES / f"version{version}.asreview")
    with (FILES / "asreview_data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert (reading.format, reading.announced, len(reading.records)) == ("asreview", 12, 12)
    assert [r.title for r in reading.records] == [row["title"] for row in rows]
    # The labels that were given, each the known one; fields that ASReview keeps nowhere are there, too.
    assert sum(label != "" for label in reading.labels) == n
    assert all(label in ("", row["label"]) for label, row in zip(reading.labels, rows))
    assert [r.extra["volume"] for r in reading.records] == [(row["volume"],) for row in rows]


def change(source, target, member, sql):
    """Write a project with a member's database changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if re.search(member, info.filename):
                (target.parent / "db").write_bytes(content)
                connection = sqlite3.connect(target.parent / "db")
                connection.executescript(sql)
                connection.close()
                content = (target.parent / "db").read_bytes()
            new.writestr(info, content)
    return target


def test_an_asreview_project_keeps_notes_and_goes_by_its_own_records(tmp_path):
    path = change(
        FILES / "version3.asreview",
        tmp_path / "x.asreview",
        r"results\.db",
        """
        UPDATE results SET note = 'ask Ann' WHERE record_id = 0;
        UPDATE record SET dataset_row = dataset_row + 100 WHERE record_id = 1;
        UPDATE record SET title = 'Another title' WHERE record_id = 2;
        DELETE FROM record WHERE record_id = 11;""",
    )
    reading = formats.read(path)
    assert reading.announced == 11 and reading.records[0].extra["asreview_note"] == ("ask Ann",)
    # Where the data set's row is another record, ASReview's own fields stand.
    assert reading.records[1].doi and "volume" not in reading.records[1].extra
    assert reading.records[2].title == "Another title" and "volume" not in reading.records[2].extra


def test_an_asreview_project_without_its_data_set(tmp_path):
    for version in (1, 2):
        with (
            zipfile.ZipFile(FILES / f"version{version}.asreview") as old,
            zipfile.ZipFile(tmp_path / f"{version}.asreview", "w") as new,
        ):
            for info in old.infolist():
                if not info.filename.startswith("data/"):
                    new.writestr(info, old.read(info))
    with pytest.raises(InputError, match="holds no data set"):
        formats.read(tmp_path / "1.asreview")
    reading = formats.read(tmp_path / "2.asreview")
    assert len(reading.records) == 12 and sum(map(bool, reading.labels)) == 7 and reading.records[0].authors


@pytest.mark.parametrize(
    "config, message",
    [
        ("{", "project.json cannot be read"),
        ('{"version": "0.19", "reviews": []}', "older than version 1"),
        ('{"version": "3.0", "reviews": []}', "lacks data_store.db"),
        ('{"reviews": 7}', "cannot be read"),
    ],
)
def test_a_damaged_asreview_project_is_refused(tmp_path, config, message):
    with zipfile.ZipFile(tmp_path / "x.asreview", "w") as archive:
        archive.writestr("project.json", config)
    with pytest.raises(InputError, match=message):
        formats.read(tmp_path / "x.asreview")
    with zipfile.ZipFile(tmp_path / "y.asreview", "w") as archive:
        archive.writestr("project.json", '{"version": "3.0", "reviews": []}')
        archive.writestr("results.db", b"no database at all" * 100)
    with pytest.raises(InputError, match="damaged: its database"):
        formats.read(tmp_path / "y.asreview")


def test_rayyan_csv(tmp_path):
    notes = [
        'RAYYAN-INCLUSION: {"Ann"=>"Included"} | RAYYAN-LABELS: x',
        'RAYYAN-INCLUSION: {"Ann"=>"Excluded", "Bob"=>"Excluded"}',
        'RAYYAN-INCLUSION: {"Ann"=>"Maybe"}',
        'RAYYAN-INCLUSION: {"Ann"=>"Included", "Bob"=>"Excluded"}',
        "a note",
        "",
    ]
    path = tmp_path / "articles.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow("key title year journal authors abstract notes pubmed_id".split())
        writer.writerows(
            [f"rayyan-{i}", f"T{i}", 2001, "J", "Doe, Jane and Roe, R", "A", note, 7] for i, note in enumerate(notes)
        )
    reading = formats.read(path)
    assert reading.labels == ["include", "exclude", "maybe", "", "", ""]
    assert reading.records[0].authors == ("Doe, Jane", "Roe, R") and reading.records[0].pmid == "7"
    assert [w.line for w in reading.warnings] == [5] and "Ann: include, Bob: exclude" in reading.warnings[0].message
    assert reading.records[3].extra["notes"] == (notes[3],)


def test_rayyan_and_asreview_ris(tmp_path):
    text = "TY  - JOUR\nTI  - {}\nN1  - {}\nER  - \n"
    reading = read(
        tmp_path,
        text.format("A", 'RAYYAN-INCLUSION: {"Ann"=>"Included"}')
        + text.format("B", "ASReview_irrelevant")
        + text.format("C", "ASReview_not_seen")
        + text.format("D", "ASReview_relevant. More."),
        "x.ris",
    )
    assert reading.labels == ["include", "0", "", "1"]
    assert read(tmp_path, text.format("A", "nothing"), "x.ris").labels is None


COVIDENCE = "Title,Authors,Abstract,Published Year,Published Month,Journal,Volume,Issue,Pages,Accession Number,DOI,Ref,Covidence #,Study,Notes,Tags\n"


@pytest.mark.parametrize(
    "name, notes, tags, label",
    [
        ("review_1234_irrelevant_csv_20240320131744.csv", "", "", "exclude"),
        ("review_1234_select_csv_20240320131744.csv", "", "", "include"),
        ("review_1234_included_csv_20240320131744.csv", "", "Grey Literature", "include"),
        ("x.csv", "Exclusion reason: Wrong study design; ", "", "exclude"),
        ("review_1234_excluded_csv_20240320131744.csv", "", "", "exclude"),
        ("review_1234_screen_csv_20240320131744.csv", "", "", ""),
        ("x.csv", "", "Included", "include"),
        ("x.csv", "", "SRH; Irrelevant", "exclude"),
        ("x.csv", "", "", ""),
    ],
)
def test_covidence_csv(tmp_path, name, notes, tags, label):
    row = f'One,"Doe, J.; Roe, R.",Text,2001,Jan,J,1,2,3-4,99,10.1000/a,5,#1581,Doe 2001,{notes},{tags}\n'
    reading = read(tmp_path, COVIDENCE + row, name)
    assert reading.labels == ([label] if label else None)
    assert reading.records[0].extra["Covidence #"] == ("#1581",) and reading.records[0].year == 2001


@pytest.mark.parametrize("column", ["Decision", "Status", "Consensus decision"])
def test_covidence_columns_of_decisions(tmp_path, column):
    text = f"Title,Covidence #,{column}\nA,#1,Included\nB,#2,Excluded\nC,#3,Yes\nD,#4,Maybe\nE,#5,\nF,#6,awaiting\n"
    assert read(tmp_path, text, "x.csv").labels == ["include", "exclude", "include", "maybe", "", ""]
    # In a table of no screening program such a column is a field.
    assert read(tmp_path, text.replace("Covidence #", "n"), "x.csv").labels is None


def test_asreview_csv(tmp_path):
    reading = read(tmp_path, "title,asreview_label,included\nA,1,0\nB,0,1\nC,,1\nD,-1,1\n", "x.csv")
    assert reading.labels == ["1", "0", "", ""]
    # A column asked for goes before.
    assert formats.read(tmp_path / "x.csv", label_column="included").labels == ["0", "1", "1", "1"]


def test_bibtex_types_of_several_words_are_entries(tmp_path):
    path = tmp_path / "mendeley.bib"
    path.write_text(
        "@book_section{a, title = {A chapter on peers}, year = {2019}}\n\n@web-page{b, title = {A page on peers}}\n\n"
        "@article{c, title = {An article on peers}}\n",
        encoding="utf-8",
    )
    reading = formats.read(path)
    assert (reading.announced, reading.problems) == (3, [])
    assert [(r.title, r.type) for r in reading.records] == [
        ("A chapter on peers", "Book chapter"),
        ("A page on peers", "Web page"),
        ("An article on peers", "Journal article"),
    ]


def test_what_looks_like_a_bibtex_entry_and_is_none_is_told(tmp_path):
    path = tmp_path / "odd.bib"
    path.write_text("@article{a, title = {One}}\n\n@art icle{b, title = {Two}}\n", encoding="utf-8")
    reading = formats.read(path)
    assert len(reading.records) == 1
    assert any(line == 3 and "looks like the beginning of an entry" in message for line, message in reading.warnings)
