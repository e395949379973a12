"""PDFs matched by their first page: what counts, what leads astray, and what does harm."""

import json
import os
import time
from dataclasses import replace
from io import BytesIO

import pypdf
import pytest
from conftest import PROTOCOL, both_storages
from pdf_helpers import BODY, article, assembled, font, made_pdf, stream, wrapped
from web_helpers import alone, sent_pdf

from triage import cli, fulltext, intake
from triage.formats import apart
from triage.fulltext.known import Known
from triage.fulltext.matching import match
from triage.project import Project

PEER = "Peer support workers in community mental health: a randomised trial"
COLLEGES = "Recovery colleges and what their students say about them"
HEARING = "Hearing voices groups in the first year after discharge"
STEROIDS = "Effects of oral steroids on the efficacy of flu vaccines in frail adults"
LONELINESS = "Loneliness in old age and the visiting of neighbours"
RECORDS = (
    (PEER, "Smith, Ann;Jones, Bob", 2001, "10.1016/S0140-6736(05)17709-5", ""),
    (COLLEGES, "Müller, Jörg", 2012, "10.1186/s12888-020-02923-8", ""),
    (
        HEARING,
        "van der Berg, Jan;Wu, Li",
        2010,
        "",
        "https://www.sciencedirect.com/science/article/pii/S0165178114001234",
    ),
    (f"{HEARING}: ten years later", "van der Berg, Jan;Wu, Li", 2020, "10.1000/later", ""),
    (STEROIDS, "Li, Wei", 2015, "10.1000/steroids", "https://arxiv.org/abs/2103.01234"),
    ("Volunteering as a way back to work: what we learned", "Garcia Lopez, Eva", 2005, "10.1000/work.a", ""),
    ("Volunteering as a way back to work: what we learned", "Okoro, Ada", 2007, "10.1000/work.b", ""),
    ("Editorial", "Brown, Tom", 1999, "10.1000/ed.1", ""),
    ("Crisis houses run by those who have been in crisis, part I", "Brown, Tom", 2008, "", ""),
    ("The cost of befriending schemes in men with long illness and in their families", "Brown, Tom", 2008, "", ""),
    ("Erratum to: Befriending by telephone in rural areas of Wales", "Evans, Gwen", 2016, "", ""),
    ("Befriending by telephone in rural areas of Wales", "Evans, Gwen", 2015, "", ""),
    ("同伴支持对社区精神分裂症患者康复的影响研究", "王伟", 2019, "", ""),
    (LONELINESS, "Dell'Osso, Ugo", 2011, "", ""),
    (LONELINESS, "Dell'Osso, Ugo", 2013, "10.1000/lonely", ""),
)
OTHERS = ["Cole, Carl", "Drew, Dora"]


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    folder = tmp_path_factory.mktemp("review")
    with made_review(folder) as project:
        yield Known(project)


def made_review(folder):
    fields = ("TI", "PY", "DO", "UR")
    lines = []
    for title, authors, year, doi, url in RECORDS:
        values = zip(fields, (title, year, doi, url), strict=True)
        lines += ["TY  - JOUR", *(f"{name}  - {value}" for name, value in values if value)]
        lines += [*(f"AU  - {author}" for author in authors.split(";")), "ER  - ", ""]
    (folder / "r.ris").write_text("\n".join(lines), encoding="utf-8")
    project = Project.create(folder / "r.triage", PROTOCOL)
    intake.import_files(project, [folder / "r.ris"], reviewer="ann")
    return project


@pytest.fixture
def told(known, tmp_path):
    """Give a function that matches a PDF of some bytes and a name."""

    def of(content, name="document(3).pdf"):
        (tmp_path / "a.pdf").write_bytes(content)
        return match(known, name, apart.front(tmp_path / "a.pdf"))

    return of


def names_of(record_id):
    return [" ".join(reversed(author.split(", "))) for author in RECORDS[record_id - 1][1].split(";")]


# -- what counts --------------------------------------------------------------------------------

LIGATURES = STEROIDS.replace("ffi", "\ufb03").replace("ff", "\ufb00").replace("fl", "\ufb02")
HEAD = ("Journal of Things 12 (2001) 3-9", "ORIGINAL ARTICLE")
SAME = "Volunteering as a way back to work: what we learned"
PAGES = {
    "title and DOI": (article(PEER, names_of(1), doi=RECORDS[0][3], head=HEAD), 1, "DOI on its first page"),
    "title alone": (article(PEER, names_of(1), head=HEAD), 1, "title on its first page"),
    "title in capitals": (article(PEER.upper(), names_of(1)), 1, "title on its first page"),
    "title cut at hyphens": (
        article(["Peer support work-", "ers in commu-", "nity mental health: a ran-", "domised trial"], names_of(1)),
        1,
        "title",
    ),
    "title with spaced letters": (article(" ".join(PEER), names_of(1)), 1, "title"),
    "title with ligatures": (article(LIGATURES, ["Wei Li"]), 5, "title"),
    "title whose ligatures are lost": (
        article(STEROIDS.replace("ffi", "").replace("ff", "").replace("fl", ""), ["Wei Li"]),
        5,
        "title",
    ),
    "title with a letter misread": (article(PEER.replace("community", "communlty"), names_of(1)), 1, "title"),
    "title by one of two of it": (article(SAME, names_of(7)), 7, "title"),
    "title of two, with a DOI": (article(SAME, ["Eva Garcia", "Ada Okoro"], doi="10.1000/work.a"), 6, "DOI"),
    "the longer of two titles": (article(RECORDS[3][0], names_of(4)), 4, "title"),
    "the longer of two titles, over two lines": (article([HEARING, "Ten Years Later"], names_of(4)), 4, "title"),
    "a DOI of one of two records of a title": (article(LONELINESS, names_of(15), doi="10.1000/lonely"), 15, "DOI"),
    "the only DOI, in how it is to be cited": (
        article(
            "Peer support workers in community mental health, a trial that was randomised",
            names_of(1),
            foot=["Citation: Smith A, Jones B (2001) Peer support. PLoS ONE 5(3): e9.", f"doi:{RECORDS[0][3]}"],
        ),
        1,
        "DOI",
    ),
    "an erratum that is a record": (article(RECORDS[10][0], names_of(11)), 11, "title"),
    "DOI in the XML metadata": (
        article(COLLEGES, names_of(2), xmp="<prism:doi>10.1186/S12888-020-02923-8</prism:doi>"),
        2,
        "DOI in its metadata",
    ),
    "DOI in the metadata of a scan": (
        made_pdf([], xmp="<dc:identifier>doi:10.1000/steroids</dc:identifier>"),
        5,
        "DOI in its metadata",
    ),
    "DOI in the subject": (
        article("Steroide bei Gebrechlichen", ["W. Li"], info={"Subject": "Lancet 3, 2015. doi:10.1000/steroids"}),
        5,
        "DOI in its metadata",
    ),
    "title in the information of a scan": (made_pdf([], info={"Title": COLLEGES}), 2, "title in its metadata"),
    "title in the XML of a scan": (
        made_pdf([], xmp=f"<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>{COLLEGES}</rdf:li></rdf:Alt></dc:title>"),
        2,
        "title in its metadata",
    ),
    "a DOI on a scan's stamp": (made_pdf(["Downloaded from https://doi.org/10.1000/steroids on 3 May"], []), 5, "DOI"),
    "a DOI over two lines": (article(PEER, names_of(1), foot=["doi: 10.1016/S0140-", "6736(05)17709-5"]), 1, "DOI"),
    "a DOI with words behind it": (
        article(COLLEGES, names_of(2), foot=["doi:10.1186/s12888-020-02923-8Received 3 May"]),
        2,
        "DOI",
    ),
    "the only DOI, and most of the title": (
        article(
            "Effects of steroids on efficacy of flu vaccines in adults who are frail",
            ["Wei Li"],
            doi="10.1000/steroids",
        ),
        5,
        "DOI",
    ),
    "a publisher's number": (
        article(HEARING, names_of(3), head=["PII: S0165-1781(14)00123-4"]),
        3,
        "publisher's number",
    ),
    "an arXiv stamp": (
        article(STEROIDS, ["Wei Li"], head=["arXiv:2103.01234v2 [q-bio] 2 Mar 2021"]),
        5,
        "arXiv number",
    ),
    "how it is to be cited": (
        article(
            PEER,
            names_of(1),
            foot=[f"Citation: Smith A, Jones B (2001) {PEER}. PLoS ONE 5(3): e9.", f"doi:{RECORDS[0][3]}"],
        ),
        1,
        "DOI",
    ),
    "a publisher's cover": (
        made_pdf(
            [
                "This article appeared in a journal published by a publisher. The copy that is attached is furnished to the"
            ]
            + ["author for use at the author's institution and for sharing with colleagues. Other uses are prohibited."]
            * 3,
            [*HEAD, *wrapped(PEER), "Ann Smith", "Abstract", *BODY],
        ),
        1,
        "title",
    ),
    "a Greek or accented author": (article(COLLEGES, ["J\u00f6rg M\u00fcller"]), 2, "title"),
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_first_page_says_which_record_it_is(told, kind):
    content, record_id, by = PAGES[kind]
    found = told(content)
    assert (found.record_id, found.message) == (record_id, "") and by in found.by


# -- what leads astray --------------------------------------------------------------------------

CITED = f"4. Smith A, Jones B. {PEER}. Lancet. 2001;358:12-19. doi: 10.1016/S0140-6736(05)17709-5"
CITED_IN_APA = (
    f"Smith, A., & Jones, B. (2001). {PEER}. Lancet, 358, 12-19. https://doi.org/10.1016/S0140-6736(05)17709-5"
)
ASTRAY = {
    "a reference on the first page": (
        article("A word of caution", OTHERS, foot=["References", *wrapped(CITED, 90)]),
        [],
    ),
    "a reference without a heading": (article("A word of caution about trials", OTHERS, foot=wrapped(CITED, 90)), []),
    "a reference of another style": (
        article("A word of caution about trials", OTHERS, foot=wrapped(CITED_IN_APA, 90)),
        [],
    ),
    "a reference by an author of it": (article("A word of caution", names_of(1), foot=wrapped(CITED, 90)), []),
    "a DOI without its title": (article("A word of caution about trials", OTHERS, doi=RECORDS[0][3]), [1]),
    "a DOI in the text": (article("A word of caution", OTHERS, foot=[f"as found before (doi {RECORDS[0][3]})"]), [1]),
    "a reference that cuts the title": (
        article("A word of caution about trials", OTHERS, foot=wrapped(CITED.replace(": a", ","), 90)),
        [],
    ),
    "what to read next": (
        article("A word of caution", OTHERS, foot=["Read this next.", *wrapped(PEER), f"DOI {RECORDS[0][3]}"]),
        [],
    ),
    "a title further down": (article("A word of caution", names_of(1), foot=["Read this, too.", *wrapped(PEER)]), [1]),
    "a title that began in the line before": (article(["How People Live Alone", HEARING], names_of(3)), [3]),
    "a title that goes on, its authors above": (
        made_pdf(
            [*names_of(1), "Peer Support Workers in Community Mental", "Health: a Randomised Trial Compared", *BODY]
        ),
        [1],
    ),
    "a longer title with a DOI of its own": (
        article(f"{PEER}: a critique", names_of(1), doi="10.1000/own", foot=[f"It speaks of doi {RECORDS[0][3]}."]),
        [1],
    ),
    "a correction with a date": (
        article(PEER, names_of(1), head=["Author Correction", "Published online 3 May 2001"], doi=RECORDS[0][3]),
        [1],
    ),
    "metadata of another paper by one of them": (
        article(COLLEGES, [*names_of(2), "Wei Li"], xmp="<prism:doi>10.1000/steroids</prism:doi>"),
        [2, 5],
    ),
    "an erratum": (article(["ERRATUM", f"Erratum to: {PEER}"], names_of(1), doi=RECORDS[0][3]), [1]),
    "a correction headed so": (article(PEER, names_of(1), head=["Author Correction"], doi=RECORDS[0][3]), [1]),
    "a retraction": (article(f"RETRACTED: {PEER}", names_of(1)), [1]),
    "a comment": (article(f"Comment on: {PEER}", OTHERS, doi="10.1000/comment"), []),
    "a comment by an author of it": (article(f"Response to the article \u201c{PEER}\u201d", names_of(1)), [1]),
    "a supplement": (article(PEER, names_of(1), head=["Supplementary material for:"]), [1]),
    "a paper by others of the same title": (article(PEER, OTHERS), []),
    "the same title with another DOI": (article(PEER, names_of(1), doi="10.1101/2020.01.01.123456"), [1]),
    "a title that goes on": (article(f"{COLLEGES}: a second look", names_of(2)), [2]),
    "a title that goes on in the next line": (article([COLLEGES, "A Randomised Trial"], names_of(2)), [2]),
    "a title that began before": (article(["What we still do not know of", COLLEGES], names_of(2)), [2]),
    "part II": (article(RECORDS[8][0] + "I", names_of(9)), [9]),
    "women, not men": (article(RECORDS[9][0].replace("in men", "in women"), names_of(10)), []),
    "two records of one title": (article(SAME, ["Eva Garcia Lopez", "Ada Okoro"]), [6, 7]),
    "a short title": (article("Editorial", ["Tom Brown"]), []),
    "another's DOI in the metadata": (
        article(COLLEGES, names_of(2), xmp="<prism:doi>10.1000/steroids</prism:doi>"),
        [2, 5],
    ),
    "old metadata of another paper": (
        article("A word of caution", OTHERS, xmp="<prism:doi>10.1000/steroids</prism:doi>"),
        [5],
    ),
    "an issue's contents": (made_pdf(["Contents", *(f"{r[0]} ........ {n}" for n, r in enumerate(RECORDS[:8]))]), None),
}


@pytest.mark.parametrize("kind", ASTRAY)
def test_what_only_speaks_of_a_record_is_not_attached_to_it(told, kind):
    content, candidates = ASTRAY[kind]
    found = told(content)
    assert found.record_id is None and "attach it to one by its number" in found.message
    assert candidates is None or sorted(found.candidates) == candidates


@pytest.mark.parametrize("held", [(1, 2, 5), (1,)])
def test_a_book_of_abstracts_is_of_none_of_them(told, held):
    """Whether the review has several of its abstracts or one."""
    titles = [RECORDS[i - 1] for i in held] + [
        ("Something else that was presented there", "Cole, Carl", 2001, "", "")
    ] * 2
    lines = ["Poster presentations"]
    for title, authors, *_ in titles:
        lines += [
            *wrapped(title),
            authors,
            "Methods: We asked. Results: They answered.",
            "Conclusions: More is needed.",
        ]
    found = told(made_pdf(lines, *[list(BODY)] * 30))
    assert found.record_id is None and set(found.candidates) <= set(held)


# -- the name and the page ----------------------------------------------------------------------

OTHER = article("A word of caution about trials of something else", OTHERS)
SCAN = made_pdf([], [])


@pytest.mark.parametrize(
    "name, content, record_id, said",
    [
        ("Smith_2001.pdf", article(PEER, names_of(1)), 1, "author and year, and its title on its first page"),
        ("Smith_2001.pdf", SCAN, 1, "author and year"),
        ("Smith_2001.pdf", OTHER, None, "its first page does not show that title"),
        (
            "Smith_2001.pdf",
            article("Peer support by trained workers in community mental health, a trial", names_of(1)),
            None,
            "does not show",
        ),
        (
            "Smith_2001.pdf",
            article(COLLEGES, names_of(2)),
            None,
            "its name says record 1 (author and year), its first page record 2",
        ),
        ("Smith_2001a.pdf", article(PEER, names_of(1)), 1, "author and year, and its title"),
        ("Smith_2001a.pdf", SCAN, None, "may be of record 1;"),
        ("Smith_2001_erratum.pdf", article(f"Erratum: {PEER}", names_of(1)), None, "seems to correct"),
        ("van der Berg 2010.pdf", SCAN, 3, "author and year"),
        ("vanderBerg2010.pdf", SCAN, 3, "author and year"),
        ("Berg & Wu, 2010.pdf", SCAN, 3, "author and year"),
        ("Berg and Smith, 2010.pdf", SCAN, None, "may be of record 3;"),
        ("Garcia-Lopez_2005.pdf", SCAN, 6, "author and year"),
        ("Garcia et al. (2005).pdf", SCAN, 6, "author and year"),
        ("Muller2012.pdf", SCAN, 2, "author and year"),
        ("Dell'Osso 2011.pdf", SCAN, 14, "author and year"),
        ("Brown 2008.pdf", SCAN, None, "may be of the records 9, 10;"),
        ("Brown 2008 befriending.pdf", SCAN, 10, "author and year"),
        ("brown2008cost.pdf", SCAN, 10, "author and year"),
        ("1-s2.0-S0165178114001234-main.pdf", SCAN, 3, "publisher's number in its name"),
        ("1-s2.0-S0140673605177095-main (1).pdf", SCAN, 1, "publisher's number in its name"),
        ("2103.01234v1.pdf", SCAN, 5, "arXiv number in its name"),
        ("5.pdf", SCAN, 5, "its number"),
        ("5.pdf", OTHER, None, "its name says record 5 (its number), but its first page does not show that title"),
        ("record 5.pdf", OTHER, 5, "its number"),
        (
            "record 5.pdf",
            article(PEER, names_of(1)),
            None,
            "its name says record 5 (its number), its first page record 1",
        ),
        ("10.1000_steroids.pdf", OTHER, 5, "the DOI in its name"),
        ("Smith et al. - 2001 - Peer support workers in community me.pdf", OTHER, None, "does not show that title"),
        (
            "Smith et al. - 2001 - Peer support workers in community me.pdf",
            article(PEER, names_of(1)),
            1,
            "title on its first page",
        ),
        (
            "Smith-2001.pdf",
            made_pdf([], xmp="<prism:doi>10.1000/elsewhere</prism:doi>"),
            None,
            "its metadata another DOI",
        ),
        (
            "Cole - 2001 - Recovery colleges and what their students say about them.pdf",
            SCAN,
            None,
            "may be of record 2;",
        ),
        (
            "Muller - 2012 - Recovery colleges and what their students say about them.pdf",
            SCAN,
            2,
            "the title in its name",
        ),
        (
            "Smith 2001.pdf",
            made_pdf(["Poster session", *["Results: x. Conclusions: y."] * 90, *wrapped(PEER), *names_of(1), *BODY]),
            None,
            "not at the top",
        ),
        ("who knows.pdf", OTHER, None, "no record has this number"),
    ],
)
def test_a_name_is_confirmed_or_denied_by_the_page(told, name, content, record_id, said):
    found = told(content, name)
    assert found.record_id == record_id and said in (found.by or found.message)


# -- what does harm -----------------------------------------------------------------------------


def encrypted():
    """Return a PDF that takes a password to read."""
    writer = pypdf.PdfWriter(clone_from=BytesIO(GOOD))
    writer.encrypt("secret", algorithm="RC4-128")
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


# As newer programs encrypt: without the key to it not even what is readable by everybody can be read.
ENCRYPTED = made_pdf(
    [PEER],
    trailer=b"/Encrypt<</Filter/Standard/V 5/R 6/Length 256/P -4/O(%b)/U(%b)/OE(%b)/U%c(%b)/Perms(%b)/CF<</StdCF<<"
    b"/AuthEvent/DocOpen/CFM/AESV3/Length 32>>>>/StmF/StdCF/StrF/StdCF>>/ID[(a)(a)]"
    % (b"o" * 48, b"u" * 48, b"e" * 32, b"E", b"e" * 32, b"p" * 16),
)


def many_pages(n, kids=""):
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    refs = kids or " ".join(f"{i} 0 R" for i in range(3, 3 + n))
    return assembled(
        [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {n}/Kids[{refs}]>>".encode(), *[page] * n]
    )


def deep_tree(depth):
    nodes = [f"<</Type/Pages/Count 1/Parent {i + 1} 0 R/Kids[{i + 3} 0 R]>>".encode() for i in range(depth)]
    return assembled([b"<</Type/Catalog/Pages 2 0 R>>", *nodes, b"<</Type/Page/MediaBox[0 0 9 9]>>"])


def with_content(content):
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>"
    return assembled([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 1/Kids[3 0 R]>>", page, content, font()])


GOOD = article(PEER, names_of(1), doi=RECORDS[0][3])
HOSTILE = {
    "encrypted": (encrypted, "it is encrypted"),
    "encrypted otherwise": (lambda: ENCRYPTED, "it is encrypted"),
    "cut short": (lambda: GOOD[: len(GOOD) // 3], "damaged"),
    "no object": (lambda: b"%PDF-1.7\n%%EOF\n", "damaged"),
    "noise": (lambda: b"%PDF-1.7\n" + bytes(range(256)) * 400, "damaged"),
    "a tree that bites its tail": (lambda: many_pages(0, kids="2 0 R"), ""),
    "a deep tree": (lambda: deep_tree(20_000), ""),
    "10,000 pages": (lambda: many_pages(10_000), "pictures without text"),
    "a bomb": (lambda: with_content(stream(b"(" + b"x" * 300_000_000 + b") Tj")), ""),
    "endless operators": (lambda: with_content(stream(b"q " * 30_000_000)), ""),
    "a script": (
        lambda: GOOD.replace(b"/Type/Catalog", b"/Type/Catalog/OpenAction<</S/JavaScript/JS(while\\(1\\){})>>"),
        None,
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pdf_that_cannot_be_read_is_told_in_a_phrase_and_goes_by_its_name(told, kind):
    make, said = HOSTILE[kind]
    content = make()
    started = time.monotonic()
    named, other = told(content, "record 2.pdf"), told(content)
    assert time.monotonic() - started < 60
    if said is None:  # the script runs nowhere
        assert named.record_id is None and other.record_id == 1
        return
    assert named.record_id == 2 and other.record_id is None
    for one in (named, other):
        assert said in one.unread and one.unread and "\n" not in one.unread and len(one.unread) < 200
    assert other.unread in other.message
    assert told(GOOD).record_id == 1  # a bad file ends no reading but its own


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize(
    ("content", "limits", "said"),
    [
        (b"BT /F1 9 Tf (x) Tj ET " * 400_000, {"seconds": 1}, "it takes more time than"),
        (b"(" + b"x" * 50_000_000 + b") Tj", {"memory": 2**24}, "it takes more memory than"),
    ],
)
def test_reading_ends_at_the_limits(told, monkeypatch, content, limits, said):
    assert apart._OF_A_FRONT.seconds <= 10 and apart._OF_A_FRONT.memory <= 2**29
    monkeypatch.setattr(apart, "_OF_A_FRONT", replace(apart._OF_A_FRONT, **limits))
    found = told(with_content(stream(content)), "record 2.pdf")
    assert found.record_id == 2 and said in found.unread


def test_what_a_page_holds_is_cut_to_what_is_looked_at(tmp_path):
    (tmp_path / "a.pdf").write_bytes(made_pdf(["word " * 200] * 300, ["x"], ["y"]))
    front = apart.front(tmp_path / "a.pdf")
    assert len(front.pages) == 2 and len(front.pages[0]) == 20_000 and front.n_pages == 3


def test_words_made_to_slow_down_the_search_do_not(known):
    """Page texts on which a careless pattern would try every way to split them."""
    from triage.formats.pdf import Front

    pages = (
        "10.1000/" * 2_500,
        "a. " * 6_600,
        "et al., 2001; " * 1_400,
        "(" * 20_000,
        "x" + "\n" * 19_000,
        "x" + "- \n" * 6_000,
        "Comment on " * 1_800,
        ". " * 10_000,
        "S0140" * 4_000,
        "a" * 20_000,
    )
    for text in pages:
        started = time.monotonic()
        match(known, "a" * 200 + ".pdf", Front((text, text), 2, text[:2_000], (text[:2_000],)))
        assert time.monotonic() - started < 5, text[:20]


# -- the command and the page -------------------------------------------------------------------

storage = both_storages


@pytest.fixture
def project(tmp_path):
    with made_review(tmp_path) as made:
        yield made


def test_the_command_says_by_what_each_file_was_matched(project, tmp_path, capsys):
    folder = tmp_path / "pdfs"
    folder.mkdir()
    for name, content in (
        ("a.pdf", GOOD),
        ("Smith 2001.pdf", OTHER),
        ("record 2.pdf", ENCRYPTED),
        ("Brown 2008.pdf", SCAN),
    ):
        (folder / name).write_bytes(content)

    def run(*arguments):
        assert cli.run(["attach", str(project.path), str(folder), "--reviewer", "ann", *arguments]) == 0
        return capsys.readouterr().out

    told = run()
    assert f"{folder}/a.pdf: record 1, event 1, by its DOI on its first page\n" in told
    assert "record 2.pdf: record 2, event 2, by its number (its first page could not tell: it is encrypted)\n" in told
    assert (
        "Smith 2001.pdf: not attached: its name says record 1 (author and year), but its first page does not show"
        in told
    )
    told = json.loads(run("--json"))
    assert [(f["record_id"], f["by"], f["unread"]) for f in told["already_there"]] == [
        (1, "its DOI on its first page", ""),
        (2, "its number", "it is encrypted"),
    ]
    assert [f["candidates"] for f in told["not_attached"]] == [[9, 10], [1]]
    # By their names alone nothing is opened, and what they say is taken.
    told = json.loads(run("--json", "--by", "name"))
    assert [(f["record_id"], f["by"]) for f in told["attached"]] == [(1, "author and year")]
    assert [(f["record_id"], f["by"], f["unread"]) for f in told["already_there"]] == [(2, "its number", "")]
    assert len(told["not_attached"]) == 2


def test_by_name_no_pdf_is_opened(project, tmp_path, monkeypatch):
    (tmp_path / "record 1.pdf").write_bytes(GOOD)
    monkeypatch.setattr(apart, "front", None)
    (done,) = fulltext.attach_files(project, [tmp_path / "record 1.pdf"], reviewer="ann", read_pages=False)
    assert done.match.record_id == 1


def test_records_of_a_group_are_one(project, tmp_path):
    project.log.link([(7, 6, "same")], reviewer="ann")
    (tmp_path / "a.pdf").write_bytes(article(SAME, ["Eva Garcia Lopez", "Ada Okoro"], doi="10.1000/work.b"))
    (done,) = fulltext.attach_files(project, [tmp_path / "a.pdf"], reviewer="ann")
    assert done.match.record_id == 6


def test_the_interface_to_programs_matches_and_says_so_too(project):
    with alone(project) as ann:
        told = sent_pdf(ann, GOOD, "download.pdf").json()
        assert (told["record_id"], told["by"], told["unread"]) == (1, "its DOI on its first page", "")
        told = sent_pdf(ann, SCAN, "Brown 2008.pdf").json()
        assert (told["record_id"], told["candidates"]) == (None, [9, 10]) and "pictures" in told["unread"]
        assert len(project.live().attached) == 1
        told = sent_pdf(ann, OTHER, "download.pdf", record_id=3).json()
        assert told["record_id"] == 3 and told["by"] == ""
