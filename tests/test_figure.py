"""The flow figure: boxes that add up whatever is left out, as SVG, PNG, PDF and the table of PRISMA2020."""

import csv
import io
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from conftest import PUBLISHED_BOXES
from hypothesis import given, settings, strategies as st
from PIL import Image

from triage.errors import InputError
from triage.flow import NO_REASON, Flow, StageFlow
from triage.report import pictures
from triage.report.drawing import text_width
from triage.report.figure import flow_figure
from triage.report.pictures import as_picture
from triage.report.prisma import prisma_table

HOSTILE = "<script>alert(1)</script>\"'&"
SVG = "{http://www.w3.org/2000/svg}"

# The flow of Miyamoto & Sono 2012, whose sums were taken from its figure.
PEER_SUPPORT = Flow(
    retrieved={"PubMed": 2103, "Medline": 1500, "CINAHL": 1200, "PsycINFO": 1000, "PsycARTICLES": 454},
    duplicates={"Medline": 1466},
    removed={"language": {"PubMed": 142}},
    stages=(
        StageFlow("abstract", 4649, 0, 0, {"PHYSICAL": 2000, "CARER": 2500, NO_REASON: 11}, 138, 0),
        StageFlow("quality", 138, 0, 0, {"EDITORIAL": 33}, 105, 0),
        StageFlow("full-text", 105, 0, 0, {"PROGRAMME": 54}, 51, 0),
    ),
)


def texts(svg):
    return [t.text for t in ET.fromstring(svg).iter(SVG + "text")]


# -- the flow figure --------------------------------------------------------------------------


def test_the_flow_of_a_published_review():
    lines = texts(flow_figure(PEER_SUPPORT, {"CARER": "Caregivers."}))
    assert lines == [
        "Records identified (n = 6,257)",
        "PubMed",
        "2,103",
        "Medline",
        "1,500",
        "CINAHL",
        "1,200",
        "PsycINFO",
        "1,000",
        "PsycARTICLES",
        "454",
        "Duplicates removed (n = 1,466)",
        "Records after duplicates removed (n = 4,791)",
        "Removed by the language limit (n = 142)",
        "Records screened: abstract (n = 4,649)",
        "Records excluded (n = 4,511)",
        "Caregivers",
        "2,500",
        "PHYSICAL",
        "2,000",
        NO_REASON,
        "11",
        "Records screened: quality (n = 138)",
        "Records excluded (n = 33)",
        "EDITORIAL",
        "33",
        "Records screened: full-text (n = 105)",
        "Records excluded (n = 54)",
        "PROGRAMME",
        "54",
        "Studies included in review (n = 51)",
        "Reports of included studies (n = 51)",
        "Identification",
        "Screening",
        "Included",
    ]


def test_the_included_are_counted_by_tag():
    flow = replace(PEER_SUPPORT, tags={"review": 8, "qualitative": 50})
    lines = texts(flow_figure(flow, {}))
    at = lines.index("Reports of included studies (n = 51)")
    assert lines[at + 1 : at + 5] == ["review", "8", "qualitative", "50"]
    assert texts(flow_figure(flow, {}, hide=["tags"])) == texts(flow_figure(PEER_SUPPORT, {}))
    for wrong in ({"review": 52}, {"review": -1}):
        with pytest.raises(InputError, match="cannot be drawn"):
            flow_figure(replace(flow, tags=wrong), {})


def test_what_is_open_is_shown_in_broken_frames():
    flow = Flow({"a": 30}, {}, {}, (StageFlow("abstract", 30, 9, 2, {}, 15, 4), StageFlow("full", 19, 19, 0, {}, 0, 0)))
    svg = flow_figure(flow, {})
    lines = texts(svg)
    assert "Duplicates removed (n = 0)" in lines
    assert not any("limit" in line for line in lines)
    assert {
        "Not yet screened (n = 9)",
        "Reviewers disagree, to be settled (n = 2)",
        "Not yet screened (n = 19)",
        "Studies included so far (n = 0)",
        "Reports of included studies so far (n = 0)",
    } <= set(lines)
    at = lines.index("of these, maybe at the stage “abstract”")
    assert lines[at + 1] == "4"
    dashed = [r for r in ET.fromstring(svg).iter(SVG + "rect") if r.get("stroke-dasharray")]
    assert len(dashed) == 3


def test_a_stage_whose_rule_is_met_may_keep_unscreened_records():
    flow = Flow({"a": 30}, {}, {}, (StageFlow("abstract", 30, 9, 0, {}, 17, 4),))
    lines = texts(flow_figure(flow, {}, stopped={"abstract": "the stopping rule is met"}))
    assert "Not screened, the stopping rule is met (n = 9)" in lines
    assert lines[lines.index("Reports of included studies (n = 17)") + 1 :][:2] == ["Maybe, to be settled", "4"]


@pytest.mark.parametrize(
    "flow, sums",
    [
        (
            Flow({"a": 10}, {"a": 1}, {"date": {"a": 2}}, (StageFlow("s", 8, 8, 0, {}, 0, 0),)),
            "10 identified - 1 duplicate - 2 removed = 7, but 8 entered 's'",
        ),
        (
            Flow({"a": 10}, {}, {}, (StageFlow("s", 10, 1, 2, {"x": 3}, 4, 1),)),
            r"3 excluded \+ 1 unscreened \+ 2 in conflict \+ 4 included \+ 1 maybe = 11, but 10 entered",
        ),
        (
            Flow({"a": 10}, {}, {}, (StageFlow("s", 10, 0, 0, {"x": 4}, 5, 1), StageFlow("t", 5, 5, 0, {}, 0, 0))),
            r"5 included \+ 1 maybe at 's' = 6, but 5 entered 't'",
        ),
        (
            Flow({"a": 10, "b": 1}, {"b": 2}, {}, (StageFlow("s", 9, 9, 0, {}, 0, 0),)),
            "2 records left from 'b', which gave 1",
        ),
        (Flow({"a": 10}, {}, {}, (StageFlow("s", 10, 11, 0, {"x": -1}, 0, 0),)), r"negative \(-1\)"),
    ],
)
def test_numbers_that_do_not_add_up_are_not_drawn(flow, sums):
    with pytest.raises(InputError, match=sums):
        flow_figure(flow, {})


def boxes_of(svg):
    root = ET.fromstring(svg)
    rects = [tuple(float(r.get(k)) for k in ("x", "y", "width", "height")) for r in root.iter(SVG + "rect")]
    rotated = {id(t) for g in root.iter(SVG + "g") for t in g.iter(SVG + "text")}
    set_texts = [(float(t.get("x")), float(t.get("y")), t) for t in root.iter(SVG + "text") if id(t) not in rotated]
    return root, rects, set_texts


names = st.text(max_size=120) | st.sampled_from(["W" * 90, "数据库" * 30, HOSTILE, "a " * 200, ""])


@settings(max_examples=60, deadline=None)
@given(
    sources=st.dictionaries(names, st.integers(0, 10**7), max_size=30),
    kinds=st.lists(names, max_size=3, unique=True),
    reasons=st.dictionaries(names, st.integers(1, 5), max_size=20),
    stage=names,
    open_=st.booleans(),
)
def test_every_text_stands_in_a_box_and_no_boxes_overlap(sources, kinds, reasons, stage, open_):
    excluded = sum(reasons.values())
    sources = {**sources, "the rest": excluded + len(kinds) + 9}
    removed = {kind: {"the rest": 1} for kind in kinds}
    left = sum(sources.values()) - len(kinds) - excluded
    flow = Flow(
        sources, {}, removed, (StageFlow(stage, left + excluded, 3 * open_, 2 * open_, reasons, left - 5 * open_, 0),)
    )
    root, rects, set_texts = boxes_of(flow_figure(flow, dict.fromkeys(reasons, "in full")))
    width, height = map(float, root.get("viewBox").split()[2:])
    for x, y, w, h in rects:
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
    for i, (x, y, w, h) in enumerate(rects):
        for x2, y2, w2, h2 in rects[:i]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    for x, y, text in set_texts:
        wide = text_width(text.text or "") * (1.1 if text.get("font-weight") else 1)
        left, right = (x - wide, x) if text.get("text-anchor") == "end" else (x, x + wide)
        assert any(bx <= left and right <= bx + w + 1e-6 and by < y < by + h for bx, by, w, h in rects), (
            f"{text.text!r} stands in no box"
        )


def test_a_long_stage_name_is_cut_but_keeps_its_count():
    flow = Flow({"a": 7}, {}, {}, (StageFlow("x" * 5000, 7, 0, 0, {}, 7, 0),))
    lines = texts(flow_figure(flow, {}))
    assert "(n = 7)" in lines
    assert sum("x" in line for line in lines) < 10


def test_the_figure_says_itself_in_words():
    root = ET.fromstring(flow_figure(PEER_SUPPORT, {}))
    assert root.find(SVG + "title").text == "Flow of records through the review"
    told = root.find(SVG + "desc").text
    assert "Records screened: quality: 138. Records excluded: 33; EDITORIAL: 33." in told
    assert root.get("aria-labelledby") == "flow-title flow-desc"
    assert root.get("width") == "100%"


def test_without_counts_by_source_and_reason_it_is_the_published_figure():
    lines = texts(flow_figure(PEER_SUPPORT, {}, hide=["sources", "reasons"]))
    assert lines == [*PUBLISHED_BOXES, "Identification", "Screening", "Included"]


def test_what_leaves_before_screening_may_be_one_box():
    lines = texts(flow_figure(PEER_SUPPORT, {}, hide=["steps", "sources", "reasons"]))
    assert lines[:6] == [
        "Records identified (n = 6,257)",
        "Records removed before screening (n = 1,608)",
        "Duplicates removed",
        "1,466",
        "Removed by the language limit",
        "142",
    ]
    only_duplicates = Flow({"a": 10}, {"a": 1}, {}, (StageFlow("s", 9, 0, 0, {"x": 4}, 5, 0),))
    assert "Duplicates removed (n = 1)" in texts(flow_figure(only_duplicates, {}, hide=["steps"]))


def test_a_hidden_stage_is_counted_with_the_one_before():
    lines = texts(flow_figure(PEER_SUPPORT, {}, hide=["quality", "sources"]))
    at = lines.index("Records excluded (n = 4,544)")
    assert lines[at - 2 : at] == ["Records screened: abstract, quality", "(n = 4,649)"]
    assert lines[at + 1 : at + 9] == ["CARER", "2,500", "PHYSICAL", "2,000", "EDITORIAL", "33", NO_REASON, "11"]
    assert "Records screened: full-text (n = 105)" in lines
    first = texts(flow_figure(PEER_SUPPORT, {}, hide=["abstract", "reasons"]))
    assert "Records excluded (n = 4,544)" in first and "Records screened: full-text (n = 105)" in first


def test_a_hidden_stage_keeps_what_is_open_open():
    flow = Flow(
        {"a": 30},
        {},
        {},
        (StageFlow("abstract", 30, 9, 0, {"x": 2}, 15, 4), StageFlow("full", 19, 3, 1, {"y": 5}, 9, 1)),
    )
    lines = texts(flow_figure(flow, {}, stopped={"abstract": "the stopping rule is met"}, hide=["full"]))
    assert "Not yet screened (n = 12)" in lines and "Reviewers disagree, to be settled (n = 1)" in lines
    assert "Studies included so far (n = 9)" in lines
    done = Flow({"a": 30}, {}, {}, (StageFlow("abstract", 30, 9, 0, {}, 21, 0), StageFlow("full", 21, 0, 0, {}, 21, 0)))
    assert "Not screened, the stopping rule is met (n = 9)" in texts(
        flow_figure(done, {}, stopped={"abstract": "the stopping rule is met"}, hide=["full"])
    )


@given(
    leave=st.lists(st.integers(0, 50), min_size=1, max_size=6),
    hidden=st.sets(st.integers(0, 5)),
    words=st.sets(st.sampled_from(["sources", "reasons", "steps"])),
    left=st.integers(0, 50),
    gone=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_whatever_is_hidden_the_boxes_add_up(leave, hidden, words, left, gone):
    stages, entered = [], left + sum(leave)
    for i, n in enumerate(leave):
        stages.append(StageFlow(f"s{i}", entered, 0, 0, {"x": n}, entered - n, 0))
        entered -= n
    copies, removed = gone
    total = left + sum(leave) + copies + removed
    flow = Flow({"a": total}, {"a": copies}, {"date": {"a": removed}}, tuple(stages))
    hide = [f"s{i}" for i in hidden if i < len(leave)] + list(words)
    told = " ".join(texts(flow_figure(flow, {}, hide=hide)))
    counts = [int(n.replace(",", "")) for n in re.findall(r"n = ([\d,]+)\)", told)]
    assert counts[0] == total and counts[-1] == left
    for i in range(0, len(counts) - 2, 2):  # what is left, what leaves, what is left, ...
        assert counts[i] - counts[i + 1] == counts[i + 2]


def test_what_is_not_there_cannot_be_hidden():
    with pytest.raises(
        InputError, match="no 'qality' to hide .* sources, reasons, tags, steps, and the stages 'abstract', "
    ):
        flow_figure(PEER_SUPPORT, {}, hide=["qality"])


# -- pictures ---------------------------------------------------------------------------------


def drawn(flow=PEER_SUPPORT, reasons=None, **options):
    return flow_figure(flow, reasons or {}, standalone=True, **options)


def test_the_png_is_a_line_drawing_for_print():
    picture = Image.open(io.BytesIO(as_picture(drawn(), "png")))
    assert picture.mode == "L" and picture.width == 4200
    assert picture.info["dpi"] == pytest.approx((600, 600), abs=0.1)
    ratio = 784 / float(ET.fromstring(drawn()).get("viewBox").split()[3])
    assert picture.width / picture.height == pytest.approx(ratio, abs=0.01)
    corner, dark = picture.getpixel((3, 3)), sum(picture.histogram()[:64])
    assert corner == 255 and 0.01 < dark / (picture.width * picture.height) < 0.1


def test_the_same_figure_gives_the_same_bytes():
    assert as_picture(drawn(), "png") == as_picture(drawn(), "png")
    assert as_picture(drawn(), "pdf") == as_picture(drawn(), "pdf")


def words_of_pdf(data):
    """Return (text, left, top, right, bottom) of each word of a PDF, in points."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (poppler) is not installed")
    told = subprocess.run(["pdftotext", "-bbox", "-", "-"], input=data, capture_output=True, check=True).stdout
    page = ET.fromstring(re.sub(rb"<!DOCTYPE[^>]*>", b"", told))
    return [
        (w.text, *(float(w.get(k)) for k in ("xMin", "yMin", "xMax", "yMax")))
        for w in page.iter("{http://www.w3.org/1999/xhtml}word")
    ]


def test_the_pdf_holds_its_text_and_its_fonts():
    made = as_picture(drawn(reasons={"CARER": "Costs $5 and $6; caregivers\u2019 \u03b2"}), "pdf")
    assert made.startswith(b"%PDF") and b"/FontFile2" in made and b"CreationDate" not in made
    said = " ".join(w[0] for w in words_of_pdf(made))
    for part in (
        "Records identified (n = 6,257)",
        "Records screened: quality (n = 138)",
        "$5 and $6; caregivers\u2019 \u03b2",
        "Studies included in review (n = 51)",
        "Reports of included studies (n = 51)",
    ):
        assert part in said


def test_no_word_leaves_its_box_in_the_font_that_comes_along(monkeypatch):
    monkeypatch.setattr(pictures, "_FAMILIES", ("DejaVu Sans",))  # the widest of them
    flow = Flow(
        {"MMMMM WWWWW " * 9: 40, "mm@ww%" * 20: 2},
        {},
        {},
        (StageFlow("WMWMWMWM" * 15, 42, 0, 0, {"QUOTE": 20, "mammography, mammoth, " * 8: 5}, 17, 0),),
    )
    picture = drawn(flow, {"QUOTE": "\u201cWhom would we warn?\u201d OOOO QQQQ DDDD GGGG " * 3})
    scale = 7 * 72 / 784
    boxes = [
        tuple((float(r.get(k)) + shift) * scale for k, shift in (("x", 12), ("y", 12), ("width", 0), ("height", 0)))
        for r in ET.fromstring(picture).iter(SVG + "rect")
        if not r.get("width").endswith("%")
    ]
    found = words_of_pdf(as_picture(picture, "pdf"))
    assert len(found) > 40 and any(len(word) > 15 for word, *_ in found)
    for word, left, top, right, bottom in found:
        assert any(x <= left and right <= x + w and y <= top + 2 and bottom - 2 <= y + h for x, y, w, h in boxes), word
    for i, (word, left, top, right, _) in enumerate(found):
        for other, left2, top2, right2, _ in found[:i]:
            assert abs(top - top2) > 3 or right <= left2 + 0.5 or right2 <= left + 0.5, (word, other)


def test_a_letter_that_no_font_has_is_told_and_not_drawn_as_a_box():
    flow = Flow({"a \U0010fffd": 1}, {}, {}, (StageFlow("s", 1, 0, 0, {}, 1, 0),))
    with pytest.raises(InputError, match="No font on this machine has .*U0010fffd.*as .svg"):
        as_picture(drawn(flow), "png")


# -- the table of PRISMA2020 ------------------------------------------------------------------

# The keys, nodes and boxes of the package's inst/extdata/PRISMA.csv, by which it finds its values.
TEMPLATE = """
NA node4 prevstud|previous_studies node5 box1|previous_reports NA box1|NA node6 newstud|database_results node7 box2
database_specific_results NA box2|register_results NA box2|register_specific_results NA box2|NA node16 othstud
website_results node17 box11|organisation_results NA box11|citations_results NA box11|duplicates node8 box3
excluded_automatic NA box3|excluded_other NA box3|records_screened node9 box4|records_excluded node10 box5
dbr_sought_reports node11 box6|dbr_notretrieved_reports node12 box7|other_sought_reports node18 box12
other_notretrieved_reports node19 box13|dbr_assessed node13 box8|dbr_excluded node14 box9|other_assessed node20 box14
other_excluded node21 box15|new_studies node15 box10|new_reports NA box10|total_studies node22 box16
total_reports NA box16|identification node1 identification|screening node2 screening|included node3 included
"""


def table(flow, reasons=None, stopped=()):
    return list(csv.DictReader(io.StringIO(prisma_table(flow, reasons or {}, stopped))))


def values(flow, reasons=None, stopped=()):
    return {row["data"]: row["n"] for row in table(flow, reasons, stopped) if row["n"] != "NA"}


def as_the_package_reads(text):
    """Read "reason, n; reason, n" as `PRISMA_parse_reasons_` does, with its regular expressions."""
    parts = re.split("(?:;)(?: )?", text)
    return [(re.sub(",.*$", "", p), re.sub(r"[^0-9.]", "", re.sub(r"^.*?,([ 0-9,]*).*$", r"\1", p))) for p in parts]


def test_the_table_has_the_rows_of_the_packages_template():
    rows = table(PEER_SUPPORT)
    assert list(rows[0]) == ["data", "node", "box", "description", "boxtext", "tooltips", "url", "n"]
    assert [f"{r['data']} {r['node']} {r['box']}" for r in rows] == re.split(r"[|\n]", TEMPLATE.strip())
    # It finds a value by a part of its key, so that no key may hold another.
    keys = [r["data"] for r in rows if r["data"] != "NA"]
    assert all(sum(key in other for other in keys) == 1 for key in keys)


def test_the_table_of_a_published_review():
    assert values(PEER_SUPPORT, {"PROGRAMME": "A programme, not peers (WRAP, HARP; PTR)."}) == {
        "database_results": "6257",
        "database_specific_results": "PubMed, 2103; Medline, 1500; CINAHL, 1200; PsycINFO, 1000; PsycARTICLES, 454",
        "register_specific_results": "Register 1, NA",
        "other_excluded": "Reason1, NA",
        "duplicates": "1466",
        "excluded_other": "142",
        "records_screened": "4649",
        "records_excluded": "4544",
        "dbr_sought_reports": "105",
        "dbr_notretrieved_reports": "0",
        "dbr_assessed": "105",
        "dbr_excluded": "A programme / not peers (WRAP / HARP / PTR), 54",
        "new_studies": "51",
        "new_reports": "51",
        "total_studies": "51",
        "total_reports": "51",
    }
    text = {row["data"]: row["boxtext"] for row in table(PEER_SUPPORT)}
    assert text["excluded_other"] == "Records removed by the language limit"


@given(
    st.dictionaries(
        st.text(max_size=30) | st.sampled_from(["a, b; c, 7", "=1+1", "it's", HOSTILE]),
        st.integers(1, 10**6),
        min_size=1,
        max_size=8,
    )
)
def test_the_package_reads_every_count_back(reasons):
    n = sum(reasons.values())
    flow = Flow(
        {"a": n + 9}, {}, {}, (StageFlow("s", n + 9, 0, 0, {}, n + 9, 0), StageFlow("t", n + 9, 0, 0, reasons, 9, 0))
    )
    cell = values(flow)["dbr_excluded"]
    read = as_the_package_reads(cell)
    assert sorted(int(count) for _, count in read) == sorted(reasons.values())
    # Text goes into single quotes of a drawing program; a spreadsheet runs what begins so.
    assert not set("'\\\"@") & set(cell) and not cell.startswith(("=", "+", "-"))


def test_what_a_rule_left_unscreened_was_left_by_a_tool():
    flow = Flow(
        {"a": 30}, {}, {}, (StageFlow("abstract", 30, 9, 0, {"x": 4}, 13, 4), StageFlow("full", 17, 0, 0, {}, 17, 0))
    )
    found = values(flow, stopped={"abstract": "the stopping rule is met"})
    assert (
        found["excluded_automatic"],
        found["records_screened"],
        found["records_excluded"],
        found["dbr_assessed"],
        found["dbr_excluded"],
    ) == ("9", "21", "4", "17", "0")


@pytest.mark.parametrize(
    "abstract, full, why",
    [
        ((9, 0, 21, 0), (0, 0, 21, 0), "'abstract' 9 records are not screened"),
        ((0, 2, 28, 0), (0, 0, 28, 0), "2 records are in conflict"),
        ((0, 0, 30, 0), (0, 0, 27, 3), "'full' 3 records are labelled maybe"),
        ((0, 0, 30, 0), (4, 0, 26, 0), "'full' 4 records are not screened"),
    ],
)
def test_an_unfinished_review_has_no_table(abstract, full, why):
    stages = []
    for name, (unscreened, conflicts, included, maybe) in (("abstract", abstract), ("full", full)):
        entered = unscreened + conflicts + included + maybe
        stages.append(StageFlow(name, entered, unscreened, conflicts, {}, included, maybe))
    with pytest.raises(InputError, match=f"{why}.*Settle them first"):
        prisma_table(Flow({"a": 30}, {}, {}, tuple(stages)), {}, ["full"])


def test_numbers_that_do_not_add_up_are_not_written_either():
    with pytest.raises(InputError, match="= 9, but 8 entered 's'"):
        prisma_table(Flow({"a": 10}, {"a": 1}, {}, (StageFlow("s", 8, 0, 0, {}, 8, 0),)), {}, [])


def test_a_review_of_one_stage_assesses_no_reports():
    found = values(Flow({"a": 10}, {}, {}, (StageFlow("s", 10, 0, 0, {"x": 3}, 7, 0),)))
    assert found["records_excluded"] == "3" and found["new_studies"] == "7"
    assert not {"dbr_sought_reports", "dbr_assessed", "dbr_excluded"} & set(found)


# -- automation tools ---------------------------------------------------------------------------

MET = {"abstract": "the stopping rule is met"}


def test_what_machines_would_exclude_leaves_before_screening_once_it_has_stopped_and_the_boxes_add_up():
    stage = StageFlow("abstract", 90, 60, 0, {NO_REASON: 20}, 10, 0, machines=("gpt-x",), marked=45)
    flow = Flow({"a": 100}, {"a": 8}, {"date": {"a": 2}}, (stage,))
    lines = texts(flow_figure(flow, {}, stopped=MET))
    for box in (
        "Records marked as ineligible by automation tools (n = 45)",
        "Records after the date limit (n = 90)",
        "Records for screening: abstract (n = 45)",
        "Not screened, the stopping rule is met (n = 15)",
        "Records excluded by a human (n = 20)",
        "Studies included in review (n = 10)",
        "Reports of included studies (n = 10)",
    ):
        assert box in " ".join(lines).replace("\u00a0", " "), box
    one = " ".join(texts(flow_figure(flow, {}, stopped=MET, hide=["steps"]))).replace("\u00a0", " ")
    assert "Records removed before screening (n = 55)" in one and "Records marked as ineligible by" in one
    going_on = " ".join(texts(flow_figure(flow, {}))).replace("\u00a0", " ")
    assert "ineligible" not in going_on and "Not yet screened (n = 60)" in going_on
    with pytest.raises(InputError, match="61 unscreened records are marked by automation tools, of 60"):
        flow_figure(replace(flow, stages=(replace(stage, marked=61),)), {})
    row = next(line for line in prisma_table(flow, {}, MET).splitlines() if line.startswith("excluded_auto"))
    assert row.endswith(",60")  # with what the stopping rule left unread


def test_at_a_later_stage_they_are_among_what_is_not_screened():
    stages = (
        StageFlow("abstract", 30, 0, 0, {}, 30, 0),
        StageFlow("full", 30, 20, 0, {"x": 4}, 6, 0, machines=("gpt-x",), marked=12),
    )
    one = " ".join(
        texts(flow_figure(Flow({"a": 30}, {}, {}, stages), {}, stopped={"full": "the stopping rule is met"}))
    ).replace("\u00a0", " ")
    assert "Not screened, the stopping rule is met (n = 20) of these, marked as ineligible" in one
