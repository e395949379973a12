"""One fact in many places: what one reader knows of it, all know."""

import html
import json
import sqlite3
import zipfile

import pytest

from triage import formats
from triage.records import normal_doi


def ris(fields):
    return "TY  - JOUR\n" + "".join(f"{tag}  - {value}\n" for tag, value in fields) + "ER  - \n"


def nbib(fields):
    return "PMID- \nOWN - NLM\n" + "".join(f"{tag:<4}- {value}\n" for tag, value in fields)


def wos(fields):
    return "FN x\nVR 1.0\nPT J\n" + "".join(f"{tag} {value}\n" for tag, value in fields) + "ER\n\nEF\n"


def enw(fields):
    return "%0 Journal Article\n" + "".join(f"{tag} {value}\n" for tag, value in fields)


def bib(fields):
    return "@article{key,\n" + ",\n".join(f"  {name} = {{{value}}}" for name, value in fields) + "\n}\n"


def table(fields):
    cells = ['"' + value.replace('"', '""') + '"' for _, value in fields]
    return ",".join(name for name, _ in fields) + "\n" + ",".join(cells) + "\n"


def endnote(fields):
    inner = ""
    for path, value in fields:
        names = path.split("/")
        inner += "".join(f"<{name}>" for name in names) + html.escape(value, quote=False)
        inner += "".join(f"</{name}>" for name in reversed(names))
    return f"<xml><records><record><ref-type name='Journal Article'>17</ref-type>{inner}</record></records></xml>"


def ebsco(fields):
    inner = "".join(f"<{name}>{html.escape(value, quote=False)}</{name.split()[0]}>" for name, value in fields)
    return f'<records><rec resultID="1"><header><controlInfo><artinfo>{inner}</artinfo></controlInfo></header></rec></records>'


def pubmed(fields):
    inner = "".join(f"<{name}>{html.escape(value, quote=False)}</{name.split()[0]}>" for name, value in fields)
    return f"<PubmedArticleSet><PubmedArticle><MedlineCitation><Article>{inner}</Article></MedlineCitation></PubmedArticle></PubmedArticleSet>"


WRITERS = {
    "ris": ris, "nbib": nbib, "ciw": wos, "enw": enw, "bib": bib, "csv": table, "endnote.xml": endnote,
    "ebsco.xml": ebsco, "pubmed.xml": pubmed,
}  # fmt: skip
# The title's name in each, which comes first.
TITLES = {
    "ris": "TI", "nbib": "TI", "ciw": "TI", "enw": "%T", "bib": "title", "csv": "Title", "endnote.xml": "titles/title",
    "ebsco.xml": "atl", "pubmed.xml": "ArticleTitle",
}  # fmt: skip


def written(tmp_path, format, *fields):
    fields = [(TITLES[format], "A title"), *fields]
    path = tmp_path / f"x.{format}"
    path.write_text(WRITERS[format](fields), encoding="utf-8")
    (record,) = formats.read(path).records
    return record


def workbook(tmp_path, *fields):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["Title", *(name for name, _ in fields)])
    book.active.append(["A title", *(value for _, value in fields)])
    book.save(tmp_path / "x.xlsx")
    (record,) = formats.read(tmp_path / "x.xlsx").records
    return record


YEARS = {
    "ris": [("C6", "MAR 2021"), ("ET", "2021/03/01"), ("EA", "MAR 2021")],
    "nbib": [("DEP", "20210301"), ("DP", "2021 Mar")],
    "ciw": [("EA", "MAR 2021")],
    "enw": [("%7", "2021/03/01"), ("%8", "Mar 1 2021")],
    "bib": [("EarlyAccessDate", "MAR 2021"), ("earlyaccessyear", "2021"), ("date", "2021-03-01")],
    "csv": [("Early Access Date", "MAR 2021"), ("Early Access Year", "2021"), ("Online Date", "2021-03-01"), ("Date published online", "1 March 2021"), ("Publication Date", '="3/1/2021"')],
    "endnote.xml": [("edition", "2021/03/01"), ("dates/pub-dates/date", "Mar 1 2021")],
}  # fmt: skip


@pytest.mark.parametrize("format, field", [(f, field) for f, fields in YEARS.items() for field in fields])
def test_the_year_of_early_access(tmp_path, format, field):
    record = written(tmp_path, format, field)
    assert record.year == 2021
    if format == "csv" and not field[1].startswith("="):
        assert workbook(tmp_path, field).year == 2021


@pytest.mark.parametrize(
    "format, own",
    [("ris", ("PY", "2022")), ("ciw", ("PY", "2022")), ("bib", ("year", "2022")), ("csv", ("Year", "2022"))],
)
def test_a_year_of_its_own_comes_first(tmp_path, format, own):
    assert written(tmp_path, format, YEARS[format][0], own).year == 2022


@pytest.mark.parametrize("field", [("C6", "PMC2021"), ("ET", "2nd edition, 2021"), ("Y2", "2021/03/01")])
def test_what_is_no_date_of_publication_gives_no_year(tmp_path, field):
    assert written(tmp_path, "ris", field).year is None


PMIDS = {
    "ris": [[("C3", "PUBMED 21314913,EMBASE 361")], [("AN", "21314913"), ("DB", "MEDLINE")], [("U1", "21314913 [pmid]")], [("UR", "https://pubmed.ncbi.nlm.nih.gov/21314913/")], [("N1", "x; PMID: 21314913")], [("PMID", "21314913")], [("UR", "https://ovidsp.ovid.com/x?T=JS&D=prem&NEWS=N&AN=21314913")]],
    "nbib": [[("DB", "Ovid MEDLINE(R)"), ("UI", "21314913")], [("AID", "https://pubmed.ncbi.nlm.nih.gov/21314913")]],
    "ciw": [[("PM", "21314913")], [("C3", "PUBMED 21314913")]],
    "enw": [[("%M", "21314913"), ("%~", "PubMed")], [("%M", "21314913"), ("%W", "MEDLINE")], [("%U", "http://www.ncbi.nlm.nih.gov/pubmed/21314913")], [("%Z", "PMID: 21314913")]],
    "bib": [[("pmid", "PMID: 21314913")], [("url", "https://pubmed.ncbi.nlm.nih.gov/21314913")], [("note", "PMID: 21314913")], [("accession_number", "21314913"), ("database", "MEDLINE")]],
    "csv": [[("PubMed ID", "PUBMED 21314913")], [("Medline PMID", "21314913")], [("URL", "https://www.ncbi.nlm.nih.gov/pubmed/21314913")], [("Accession Number", "21314913"), ("Database", "Ovid MEDLINE(R)")], [("Notes", "PMID: 21314913")], [("Custom 3", "PUBMED 21314913,EMBASE 361")]],
    "endnote.xml": [[("custom3", "PUBMED 21314913,EMBASE 361")], [("accession-num", "21314913"), ("remote-database-name", "MEDLINE")], [("urls/related-urls/url", "https://pubmed.ncbi.nlm.nih.gov/21314913")], [("notes", "PMID: 21314913")]],
    "ebsco.xml": [[('ui type="pmid"', "NLM21314913")]],
}  # fmt: skip


@pytest.mark.parametrize("format, fields", [(f, fields) for f, each in PMIDS.items() for fields in each])
def test_the_pubmed_identifier(tmp_path, format, fields):
    assert written(tmp_path, format, *fields).pmid == "21314913"
    if format == "csv":
        assert workbook(tmp_path, *fields).pmid == "21314913"


@pytest.mark.parametrize(
    "format, fields",
    [
        ("ris", [("AN", "21314913"), ("DB", "PsycINFO")]),
        ("ris", [("C3", "EMBASE 21314913")]),
        ("csv", [("Accession Number", "21314913")]),
        ("enw", [("%M", "21314913")]),
        ("endnote.xml", [("custom3", "21314913")]),
    ],
)
def test_a_number_of_another_database_is_none_of_pubmed(tmp_path, format, fields):
    assert written(tmp_path, format, *fields).pmid == ""


DOIS = {
    "ris": ["UR", "L3", "AN", "DO"],
    "nbib": ["AID", "LID", "SO"],
    "ciw": ["DI", "UR"],
    "enw": ["%R", "%U"],
    "bib": ["doi", "url", "howpublished"],
    "csv": ["DOI", "URL", "Link", "Article Link"],
    "endnote.xml": ["electronic-resource-num", "urls/related-urls/url", "custom1"],
}
WRITTEN = [
    "https://doi.org/10.1000/abc",
    "https://doi-org.proxy.lib.edu/10.1000/ABC",
    "http://dx.doi.org/10.1000/abc.",
    "https://doi.org/10.1000%2Fabc",
    "https://doi.org/10.1000/abc?via%3Dihub",
    "https://doi.org/10.1000/abc#abstract",
    "https://doi.org/10.1000/abc;jsessionid=12AB",
    "https://doi.org/10.1000/abc/full",
]


@pytest.mark.parametrize("text", WRITTEN)
@pytest.mark.parametrize("format, name", [(f, name) for f, names in DOIS.items() for name in names])
def test_the_doi(tmp_path, format, name, text):
    text = f"Gut. 2001; 1. doi: {text.split('/', 3)[3]}" if name == "SO" else text
    if name in ("AID", "LID"):
        text = f"{text.replace('https://doi.org/', '')} [doi]" if "proxy" not in text else text
    assert written(tmp_path, format, (name, text)).doi == "10.1000/abc"


@pytest.mark.parametrize(
    "text, doi",
    [
        ("10.1000/abc [doi]", "10.1000/abc"),
        ("10.1000/abc[doi]", "10.1000/abc"),
        ("doi:10.1000/ABC", "10.1000/abc"),
        ("10.1000/abc/", "10.1000/abc"),
        ("https://doi.org/10.1000%252Fabc", "10.1000/abc"),
        (r"10.1007/978-3\_12", "10.1007/978-3_12"),
        ("10.3389/fpsyg.2019.00001/full", "10.3389/fpsyg.2019.00001"),
        ("https://x.org/doi/10.1111/abc.123/epdf?saml=1", "10.1111/abc.123"),
        ("10.1000/abc&domain=pdf", "10.1000/abc"),
        ("10.1002/(SICI)1097-0258(19980815/30)17:15/16&lt;1661::AID-SIM968&gt;3.0.CO;2-2", "10.1002/(sici)1097-0258(19980815/30)17:15/16<1661::aid-sim968>3.0.co;2-2"),
        ("10.1002/(SICI)1097-4679(199901)55:1<1::AID-JCLP1>3.0.CO;2-#", "10.1002/(sici)1097-4679(199901)55:1<1::aid-jclp1>3.0.co;2-#"),
        ("10.1000/full", "10.1000/full"),
    ],
)  # fmt: skip
def test_a_doi_in_its_normal_form(text, doi):
    assert normal_doi(text) == doi and normal_doi(doi) == doi


PLACES = {
    "ris": ["N1", "AN", "ID", "U1", "CN"],
    "nbib": ["SI", "GN"],
    "ciw": ["CT"],
    "enw": ["%M", "%Z"],
    "bib": ["note", "trial_number"],
    "csv": ["Clinical trial number", "Secondary ID", "CN", "NCT Number"],
    "endnote.xml": ["accession-num", "notes", "custom2"],
}


@pytest.mark.parametrize("format, name", [(f, name) for f, names in PLACES.items() for name in names])
def test_numbers_of_registers(tmp_path, format, name):
    record = written(tmp_path, format, (name, "ClinicalTrials.gov/NCT01234567; ISRCTN 12345678"))
    assert record.extra["registration"] == ("NCT01234567", "ISRCTN12345678")


AUTHORS = {
    "ris": "AU", "nbib": "AU", "ciw": "AU", "enw": "%A", "bib": "author", "csv": "Authors",
    "endnote.xml": "contributors/authors/author", "ebsco.xml": "au",
}  # fmt: skip
PEOPLE = [
    ("Roe, A.; Poe, B.; Moe, C.", ("Roe, A.", "Poe, B.", "Moe, C.")),
    ("Roe RA, van der Poe B, Moe C", ("Roe RA", "van der Poe B", "Moe C")),
    ("Roe R.A., Suharto, Moe C.", ("Roe R.A.", "Suharto", "Moe C.")),
    ("Roe, A. B., Poe, B., & Moe, C.", ("Roe, A. B.", "Poe, B.", "Moe, C.")),
    ("Roe, A. B., Poe, B., \u2026 Moe, C.", ("Roe, A. B.", "Poe, B.", "Moe, C.")),
    ("Roe, A. B., Poe, B., . . . & Moe, C.", ("Roe, A. B.", "Poe, B.", "Moe, C.")),
    ("Roe, Ann and Poe, Ben", ("Roe, Ann", "Poe, Ben")),
    ("Roe, Ann & Poe, Ben", ("Roe, Ann", "Poe, Ben")),
    ("Roe RA, Poe B and Moe C", ("Roe RA", "Poe B", "Moe C")),
    ("Roe, A.; and Poe, B.", ("Roe, A.", "Poe, B.")),
    ("Roe, A.; Suharto; Poe, B.", ("Roe, A.", "Suharto", "Poe, B.")),
    ("Roe RA, Poe B, et al.", ("Roe RA", "Poe B")),
    ("King, M. L., Jr.", ("King, M. L., Jr.",)),
    ("Roe, Ann Maria", ("Roe, Ann Maria",)),
    ("Health and Care Council", ("Health and Care Council",)),
    ("NA", ()),
]  # fmt: skip


@pytest.mark.parametrize("format", AUTHORS)
@pytest.mark.parametrize("text, authors", PEOPLE)
def test_several_authors_in_one_value(tmp_path, format, text, authors):
    if format == "bib" and " and " in text and "Ann" not in text:  # which parts names there, whatever they are
        return
    assert (
        written(tmp_path, format, (AUTHORS[format], text.replace("&", r"\&") if format == "bib" else text)).authors
        == authors
    )
    if format == "csv":
        assert workbook(tmp_path, ("Authors", text)).authors == authors


JOURNALS = {
    "ris": "T2", "nbib": "JT", "ciw": "SO", "enw": "%J", "bib": "journal", "csv": "Journal",
    "endnote.xml": "titles/secondary-title", "ebsco.xml": "jtl",
}  # fmt: skip


@pytest.mark.parametrize("format", JOURNALS)
@pytest.mark.parametrize("text", ["NA", "n/a", "None", "NULL"])
def test_what_stands_for_nothing_is_no_journal_but_kept(tmp_path, format, text):
    record = written(tmp_path, format, (JOURNALS[format], text))
    assert record.journal == "" and any((text,) == values for values in record.extra.values())


ABSTRACTS = {
    "ris": "AB", "nbib": "AB", "ciw": "AB", "enw": "%X", "bib": "abstract", "csv": "Abstract", "endnote.xml": "abstract",
    "ebsco.xml": "ab", "pubmed.xml": "Abstract><AbstractText",
}  # fmt: skip


@pytest.mark.parametrize("format", [f for f in ABSTRACTS if f != "pubmed.xml"])
@pytest.mark.parametrize(
    "text, plain",
    [
        ("p &lt; 0.05 &amp; more", "p < 0.05 & more"),
        ("p &amp;lt; 0.05", "p < 0.05"),
        ("&amp;amp;lt;i&amp;amp;gt;In vitro&amp;amp;lt;/i&amp;amp;gt; M&amp;uuml;ller", "In vitro M\u00fcller"),
        ("H<sub>2</sub>O and <i>E. coli</i>", "H2O and E. coli"),
    ],
)
def test_markup_however_often_it_was_escaped(tmp_path, format, text, plain):
    # XML is written with its own escapes around these; BibTeX escapes an ampersand.
    value = text.replace("&", r"\&") if format == "bib" else text
    record = written(tmp_path, format, (ABSTRACTS[format], value))
    assert record.abstract == plain
    assert written(tmp_path, format, (ABSTRACTS[format], value), (TITLES[format], "x")).abstract == plain


def test_an_asreview_project_knows_the_same(tmp_path):
    path = tmp_path / "x.asreview"
    store = tmp_path / "store.db"
    names = ("record_id", "dataset_row", "title", "abstract", "authors", "keywords", "year", "doi", "url")
    connection = sqlite3.connect(store)
    connection.execute(f"CREATE TABLE record ({', '.join(names)})")
    row = (
        1,
        0,
        "A title",
        "p &amp;lt; 0.05",
        json.dumps(["Roe, A.; Poe, B."]),
        "[]",
        None,
        "",
        "https://doi.org/10.1000/abc?via=x",
    )
    connection.execute(f"INSERT INTO record VALUES ({', '.join('?' * len(names))})", row)
    connection.commit()
    connection.close()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("project.json", json.dumps({"version": "2.0", "reviews": []}))
        archive.write(store, "data_store.db")
    (record,) = formats.read(path).records
    assert (record.abstract, record.authors, record.doi) == ("p < 0.05", ("Roe, A.", "Poe, B."), "10.1000/abc")


@pytest.mark.parametrize("ending", [".ris", ".csv", ".bib", ".xlsx"])
def test_what_was_found_survives_an_export(tmp_path, ending):
    record = written(
        tmp_path, "ris", ("C3", "PUBMED 21314913"), ("C6", "MAR 2021"), ("N1", "NCT01234567"), ("T2", "NA")
    )
    formats.write(tmp_path / f"out{ending}", [formats.ExportRow(record)])
    assert formats.read(tmp_path / f"out{ending}").records == [record]
