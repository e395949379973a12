"""A record is recognised by its order as well as its tags, and what a second, looser count finds besides is told."""

import re

import pytest

from triage import formats
from triage.errors import InputError

NAMES = ("One", "Two", "Three")
RIS = [
    f"TY  - JOUR\nTI  - {x} title\nAU  - {x}, A.\nAB  - Text of {x}.\nPY  - 2001\nJO  - J {x}\nER  - \n\n"
    for x in NAMES
]
NBIB = [
    f"PMID- {n}\nDP  - 2001\nTI  - {x} title\nAB  - Text of {x}.\nFAU - {x}, A.\nJT  - J {x}\n\n"
    for n, x in enumerate(NAMES, 11)
]
WOS = [f"PT J\nAU {x}, A.\nTI {x} title\nSO J {x}\nAB Text of {x}.\nPY 2001\nUT WOS:{x}\nER\n\n" for x in NAMES]
ENW = [f"%0 Journal Article\n%T {x} title\n%A {x}, A.\n%J J {x}\n%D 2001\n%X Text of {x}.\n\n" for x in NAMES]
BIB = [
    f"@article{{{x},\n  title = {{{x} title}},\n  author = {{{x}, A.}},\n  journal = {{J {x}}},\n"
    f"  abstract = {{Text of {x}.}},\n  year = {{2001}}\n}}\n\n"
    for x in NAMES
]
XML = "<xml><records><record><titles><title>X</title></titles></record></records></xml>\n"
CSV = "title,year,doi\nA title,2001,10.1000/1\n"


def read(tmp_path, text, name="x.ris"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    reading = formats.read(path)
    assert reading.announced == len(reading.records) + len(reading.problems)
    return reading


def whole(reading, journal=True):
    """Tell whether the three records came out, each with its own fields."""
    return reading.problems == [] and [
        (r.title, r.abstract, r.authors, r.year, *([r.journal] if journal else [])) for r in reading.records
    ] == [(f"{x} title", f"Text of {x}.", (f"{x}, A.",), 2001, *([f"J {x}"] if journal else [])) for x in NAMES]


def without(text, line):
    assert line in text
    return text.replace(line, "")


def indented(text, margin):
    return "".join(f"{margin}{line}\n" for line in text.split("\n"))


# -- RIS --------------------------------------------------------------------------------------

ALL = "".join(RIS)
LED = "".join(RIS).replace("TY  - JOUR\n", "").replace("\nAU", "\nTY  - JOUR\nAU")
LAST = "".join(RIS).replace("TY  - JOUR\n", "").replace("\nER", "\nTY  - JOUR\nER")


@pytest.mark.parametrize(
    "text",
    [
        without(RIS[0], "ER  - \n") + RIS[1] + RIS[2],
        RIS[0] + without(RIS[1], "TY  - JOUR\n") + RIS[2],
        without(ALL, "ER  - \n"),
        without(ALL, "ER  - \n").replace("\n\n", "\n"),
        without(ALL, "TY  - JOUR\n"),
        without(without(ALL, "TY  - JOUR\n"), "ER  - \n"),
        without(without(ALL, "TY  - JOUR\n"), "ER  - \n").replace("\n\n", "\n"),
        without(without(ALL, "TY  - JOUR\n"), "ER  - \n").replace("AB  -", "\nAB  -"),
        LED,
        without(LED, "ER  - \n"),
        without(LED, "ER  - \n").replace("\n\n", "\n"),
        LAST,
        without(LAST, "ER  - \n"),
        ALL.replace("\n", "\n\n"),
        ALL.replace("TY  - ", "TY - "),
        RIS[0] + RIS[1].replace("TI  -", "TI\ufeff  -") + RIS[2],
        RIS[0] + "\ufeff" + RIS[1] + RIS[2],
        RIS[0] + "\u200b" + RIS[1] + RIS[2],
        RIS[0] + RIS[1].replace("  - ", "\xa0\xa0-\xa0") + RIS[2],
        RIS[0] + RIS[1].replace("  - ", "  \u2013 ") + RIS[2],
        ALL.replace("ER  - ", "ER  \u2013 "),
    ],
)
def test_ris_is_read_whole_whatever_its_order(tmp_path, text):
    reading = read(tmp_path, text)
    assert whole(reading) and reading.warnings == []


def lower(text):
    return re.sub(r"(?m)^[A-Z][A-Z0-9](?=  -)", lambda found: found.group().lower(), text)


def capital(text):
    return re.sub(r"(?m)^[A-Z][A-Z0-9](?=  -)", lambda found: found.group().capitalize(), text)


@pytest.mark.parametrize(
    "write",
    [
        lower,
        capital,
        lambda text: indented(text, "    "),
        lambda text: indented(text, "\t"),
        lambda text: text.replace("  - ", "\xa0\xa0-\xa0"),
        lambda text: text.replace("  - ", " \u2013 "),
        lambda text: text.replace("  - ", "\t-\t"),
        lambda text: text.replace("  - ", "  : "),
    ],
)
def test_tags_written_in_another_manner_are_read_and_told(tmp_path, write):
    reading = read(tmp_path, write(ALL))
    (told,) = reading.warnings
    assert reading.format == "ris" and whole(reading) and told.line == 1 and "is not how this format" in told.message
    reading = read(tmp_path, RIS[0] + write(RIS[1]) + RIS[2])
    assert whole(reading) and [w.line for w in reading.warnings] in (
        [9],
        [],
    )  # without a word where nothing else it can be


@pytest.mark.parametrize(
    "text, line, said",
    [
        (without(RIS[0], "ER  - \n") + without(RIS[1], "TY  - JOUR\n") + RIS[2], 8, "begins a record of its own"),
        (RIS[0].rstrip() + " " + RIS[1] + RIS[2], 7, "not at the beginning of its line"),
        (without(RIS[0], "ER  - \n").rstrip() + RIS[1] + RIS[2], 6, "not at the beginning of its line"),
        ((RIS[0] + RIS[1]).replace("\n", " ") + "\n" + RIS[2], 1, "not at the beginning of its line"),
    ],
)
def test_records_that_run_together_are_parted_and_told(tmp_path, text, line, said):
    reading = read(tmp_path, text)
    (told,) = reading.warnings
    assert whole(reading) and told.line == line and said in told.message


@pytest.mark.parametrize(
    "line", ["TY - ", "TY  - in", "TY  - JOUR of this", "TY  - JOUR", "TI  - in it", "T2  - weighted", "AU  - test"]
)
def test_a_line_of_an_abstract_written_like_a_tag_is_text_and_told(tmp_path, line):
    reading = read(tmp_path, RIS[0].replace("One.", f"One.\n{line}\nmore.") + RIS[1] + RIS[2])
    first = reading.records[0]
    assert first.abstract == f"Text of One.\n{line.strip()}\nmore." and (first.year, first.journal) == (2001, "J One")
    assert [r.title for r in reading.records] == ["One title", "Two title", "Three title"]
    assert [w.line for w in reading.warnings] == [5]


@pytest.mark.parametrize(
    "line", ["ER-positive", "ER  - positive cells", "T2 - weighted", "PMID- 12", "PT words", "PT J"]
)
def test_a_line_of_an_abstract_that_begins_like_a_tag_is_text(tmp_path, line):
    reading = read(tmp_path, RIS[0].replace("One.", f"One.\n{line}\nmore.") + RIS[1] + RIS[2])
    assert reading.records[0].abstract == f"Text of One.\n{line}\nmore." and reading.records[0].journal == "J One"
    assert len(reading.records) == 3 and reading.warnings == []


# -- the other tagged formats -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name, text, lines",
    [
        ("x.nbib", NBIB[0] + without(NBIB[1], "PMID- 12\n") + NBIB[2], [8]),
        ("x.nbib", "".join(NBIB).replace("\n\n", "\n"), []),
        ("x.nbib", "".join(NBIB).replace("FAU", "\nFAU"), []),
        ("x.nbib", re.sub(r"PMID- \d+\n", "", "".join(NBIB)), []),
        ("x.nbib", re.sub(r"PMID- \d+\n", "", "".join(NBIB)).replace("FAU", "\nFAU"), []),
        ("x.nbib", re.sub(r"(PMID- \d+\n)((?:.+\n)+)", r"\2\1", "".join(NBIB)), []),
        ("x.nbib", re.sub(r"(PMID- \d+\n)((?:.+\n)+)", r"\2\1", "".join(NBIB)).replace("\n\n", "\n"), []),
        ("x.nbib", "".join(NBIB).replace("- ", "\u2013 "), [1]),
        ("x.nbib", NBIB[0] + NBIB[1].replace("- ", "\u2013 ") + NBIB[2], []),
        ("x.nbib", re.sub(r"(?m)^[A-Z]+", lambda found: found.group().lower(), "".join(NBIB)), [1]),
        ("x.nbib", indented("".join(NBIB), "    "), [1]),
        ("x.ciw", "FN x\n" + WOS[0] + without(WOS[1], "PT J\n") + WOS[2], [11]),
        ("x.ciw", "FN x\n" + without(WOS[0], "ER\n") + without(WOS[1], "PT J\n") + WOS[2], [10]),
        ("x.ciw", "FN x\n" + without(WOS[0], "PT J\n") + WOS[1] + WOS[2], [2]),
        ("x.ciw", "FN x\n" + "".join(WOS).replace("PT J\n", "").replace("\nER", "\nPT J\nER"), [2]),
        ("x.enw", ENW[0] + without(ENW[1], "%0 Journal Article\n") + ENW[2], []),
        ("x.enw", without("".join(ENW), "%0 Journal Article\n"), []),
        ("x.enw", without("".join(ENW), "%0 Journal Article\n").replace("\n\n", "\n"), []),
        ("x.enw", indented("".join(ENW), "   "), []),
        ("x.enw", re.sub(r"(?m)^(%\w) ", "\\1\xa0", "".join(ENW)), []),
        ("x.enw", re.sub(r"(?m)^(%\w) ", "\\1\t", "".join(ENW)), []),
        ("x.bib", BIB[0] + BIB[1].replace("@article", "@ article ") + BIB[2], []),
        ("x.bib", BIB[0] + BIB[1].replace("@article", "@article\n") + BIB[2], []),
        ("x.bib", BIB[0] + BIB[1].replace("@article", "@journal.article") + BIB[2], []),
        ("x.bib", BIB[0] + BIB[1].replace("@article", "@b\u00fccher") + BIB[2], []),
        ("x.bib", BIB[0] + "\xa0" + BIB[1] + BIB[2], []),
    ],
)  # fmt: skip
def test_the_other_formats_are_read_whole(tmp_path, name, text, lines):
    reading = read(tmp_path, text, name)
    assert whole(reading) and [w.line for w in reading.warnings] == lines


@pytest.mark.parametrize(
    "name, text, line",
    [
        ("x.nbib", NBIB[0] + indented(NBIB[1], "    ") + NBIB[2], 8),
        ("x.nbib", NBIB[0] + NBIB[1].replace("PMID", "pmid") + NBIB[2], 8),
        ("x.nbib", NBIB[0].rstrip() + " " + NBIB[1] + NBIB[2], 7),
        ("x.nbib", NBIB[0].replace("One.", "One.\nPMID- 99\n more") + NBIB[1], 5),
        ("x.ciw", "FN x\n" + WOS[0] + WOS[1].lower() + WOS[2], 11),
        ("x.ciw", "FN x\n" + WOS[0] + indented(WOS[1], " ") + WOS[2], 11),
        ("x.enw", ENW[0].rstrip() + " " + ENW[1] + ENW[2], 6),
        ("x.enw", ENW[0] + ENW[1].replace("%", "\uff05") + ENW[2], 8),
        ("x.bib", BIB[0] + BIB[1].replace("@", "\uff20") + BIB[2], 9),
        ("x.bib", BIB[0] + BIB[1].replace("@", "") + BIB[2], 9),
        ("x.bib", BIB[0] + BIB[1].replace("@article", "@journal article") + BIB[2], 9),
        ("x.bib", BIB[0] + "@comment{" + BIB[1] + "}\n" + BIB[2], 10),
        ("x.csv", "title,abstract,year\nOne,a\nmore,2001\nTwo,b,2002\n", 2),
        ("x.csv", "title,abstract,year\nOne,a,2001\nTwo;b;2002\n", 3),
    ],
)
def test_what_may_be_a_record_more_is_told_with_its_line(tmp_path, name, text, line):
    reading = read(tmp_path, text, name)
    assert line in [w.line for w in reading.warnings]


def test_a_record_without_a_title_is_told(tmp_path):
    reading = read(tmp_path, RIS[0] + without(RIS[1], "TI  - Two title\n") + RIS[2])
    (told,) = reading.warnings
    assert told.line == 9 and "no title" in told.message


# -- joined files -----------------------------------------------------------------------------

JOINED = {"x.ris": RIS, "x.nbib": NBIB, "x.ciw": WOS, "x.enw": ENW, "x.bib": BIB, "x.xml": [XML]}


@pytest.mark.parametrize(
    "first, second", [(first, second) for first in (*JOINED, "x.csv") for second in JOINED if first != second]
)
def test_files_of_two_formats_joined_are_refused_with_the_line(tmp_path, first, second):
    before = CSV if first == "x.csv" else "".join(JOINED[first])
    with pytest.raises(InputError, match=f"line {before.count(chr(10)) + 1}: .*joined"):
        read(tmp_path, before + "".join(JOINED[second]), first)


def test_tables_that_were_joined(tmp_path):
    reading = read(tmp_path, CSV + CSV.replace("A title", "B title"), "x.csv")
    assert [r.title for r in reading.records] == ["A title", "B title"]
    assert [(p.line, "header once more" in p.message) for p in reading.problems] == [(3, True)]
    with pytest.raises(InputError, match=r"line 3: another header.*joined"):
        read(tmp_path, CSV + "year,doi,title\n2001,10.1000/2,B title\n", "x.csv")


# -- a file that fits two formats -------------------------------------------------------------


@pytest.mark.parametrize(
    "lines, format",
    [
        ("PY  - 2001", "ris"),
        ("KW  - peers", "ris"),
        ("DP  - 2001", "nbib"),
        ("FAU - Roe, Ann", "nbib"),
        ("VI  - 3", "nbib"),
    ],
)
def test_tagged_text_without_an_opening_line_is_known_by_its_tags(tmp_path, lines, format):
    text = f"TI  - One\nAB  - Text.\nAU  - Roe A\nLA  - eng\n{lines}\n\n"
    reading = read(tmp_path, text + text.replace("One", "Two"), "x.txt")
    assert reading.format == format and [r.title for r in reading.records] == ["One", "Two"]


@pytest.mark.parametrize("lines", ["SO  - A journal", "PY  - 2001\nMH  - Peers"])
def test_tagged_text_that_may_be_either_is_asked_about(tmp_path, lines):
    text = f"TI  - One\nAB  - Text.\nAU  - Roe A\nLA  - eng\n{lines}\n\n"
    path = tmp_path / "x.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="Give --format ris or --format nbib"):
        formats.read(path)
    for format in ("ris", "nbib"):
        (record,) = formats.read(path, format=format).records
        assert record.title == "One"
