"""RIS, as each database writes it."""

import re

import pytest
import rispy
from formats_helpers import EXPORTS, needs_exports, read

from triage import formats
from triage.formats import markup
from triage.records import normal_title


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
