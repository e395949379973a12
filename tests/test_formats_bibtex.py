"""BibTeX and the LaTeX in it."""

import bibtexparser
import pytest
from bibtexparser.middlewares import LatexDecodingMiddleware
from formats_helpers import EXPORTS, needs_exports, read

from triage import formats
from triage.formats import latex
from triage.records import normal_title


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
    assert [w.line for w in reading.warnings] == [1, 4, 1] and "no title" in reading.warnings[2].message


@pytest.mark.slow
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
    assert any(p.line == 3 and "looks like the beginning of an entry" in p.message for p in reading.warnings)
