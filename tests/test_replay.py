"""A published review replayed: its numbers come out of real commands, and duplicates and languages are found."""

import csv
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from conftest import PUBLISHED_BOXES, SHARED
from test_figure import texts

from triage.dedupe import find_duplicates
from triage.project import Project
from triage.protocol.parsing import load
from triage.records import Record

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts" / "peer_support"
sys.path.insert(0, str(SCRIPTS))

import exports  # noqa: E402
import replay  # noqa: E402


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """Replay once; return the folder and what came out."""
    if not (SHARED / "data" / "exports").is_dir():
        pytest.skip("the records stand in shared/data, which is not there")
    folder = tmp_path_factory.mktemp("replay") / "review"
    return folder, replay.replay(folder, data=SHARED / "data", say=lambda line: None)


@pytest.mark.slow
def test_the_published_numbers_come_out(replayed):
    _folder, done = replayed
    assert done.numbers == (6257, 1466, 4791, 142, 4649, 4511, 138, 33, 105, 54, 51)
    assert done.sure + done.decided == 1466 and done.sure > 1450
    assert done.stated + done.proposed == 142 and min(done.stated, done.proposed) > 50
    assert len(done.reasons) > 4
    assert done.tags == {"review": 8, "qualitative": 19, "quantitative": 14, "case report": 4, "mixed methods": 6}


@pytest.mark.slow
def test_every_copy_is_linked_to_its_own_work_and_every_removal_is_right(replayed):
    folder, done = replayed
    with Project.open(folder / "review.triage") as project:
        live = project.stage().live
        assert live.duplicates == {copy: ids[0] for ids in done.exports.groups for copy in ids[1:]}
        foreign = {ids[0] for ids in done.exports.groups if ids[0] in done.exports.foreign}
        assert set(live.removals) == foreign and len(foreign) == 142


@pytest.mark.slow
def test_the_figure_is_the_published_one(replayed):
    folder, _done = replayed
    lines = texts((folder / "flow.svg").read_bytes())
    for box in PUBLISHED_BOXES:
        assert box in lines
    included = lines.index("Reports of included studies (n = 51)")
    assert lines[included + 1 : included + 5] == ["review", "8", "qualitative", "19"]
    for source in exports.FILES:
        assert int(lines[lines.index(source) + 1].replace(",", "")) == exports.FIRSTS[source] + exports.COPIES[source]
    assert ET.fromstring((folder / "flow.svg").read_bytes()).get("width") == "784"
    assert (folder / "flow.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "flow.pdf").read_bytes().startswith(b"%PDF")
    assert "6,257 records were imported from 5 sources" in (folder / "report.html").read_text("utf-8")
    with (folder / "prisma.csv").open(encoding="utf-8", newline="") as file:
        counts = {row["data"]: row["n"] for row in csv.DictReader(file)}
    assert (counts["duplicates"], counts["excluded_other"], counts["new_studies"]) == ("1466", "142", "51")


@pytest.mark.slow
def test_the_copies_differ_as_the_databases_do(replayed):
    _, done = replayed
    sizes = Counter(map(len, done.exports.groups))
    assert sum(n * (size - 1) for size, n in sizes.items()) == 1466 and sizes[3] > 100
    for change in (
        "DOI missing",
        "journal abbreviated",
        "initials for given names",
        "Unicode spelt out",
        "abstract truncated",
        "abstract missing",
        "pages missing",
        "year of the online version",
    ):
        assert done.exports.changes[change] > 20, change
    works = list(done.exports.works.values())
    assert len({work.title.casefold() for work in works}) == len(works) == 4791
    dois = [work.doi for work in works if work.doi]
    assert len(set(dois)) == len(dois) > 1500
    assert {work.language for work in works} >= {"English", "German", "French", "Dutch", ""}


@pytest.mark.slow
def test_the_decisions_give_the_protocols_reasons(replayed):
    _, done = replayed
    protocol = load(replay.PROTOCOL)
    rows = replay.decisions(done.exports)
    for stage in protocol.stages:
        codes = {c.code for c in (*protocol.exclude, *stage.reasons)}
        given = Counter(reason for _, label, reason, _ in rows[stage.name] if label == "exclude")
        assert set(given) <= codes and len(given) >= 4
    tags = Counter(tag for _, label, _, tag in rows["full-text"] if label == "include")
    assert tags["review"] == 8 and tags["qualitative"] == 19 and set(tags) == set(protocol.tags)


def test_the_script_decides_only_the_pairs_left_to_a_person(tmp_path):
    names, others = ("Sono, Tamaki", "Miyamoto, Yuki"), ("Rowe, Michael", "Sells, David")
    one, two = "Lessons of peer support in psychiatric wards.", "Consumers as providers of community care."
    records = [
        Record(title=one, authors=names, year=2008, journal="Psychiatric Services"),
        Record(title=one, authors=names, year=2007, journal="Psychiatric Services"),
        Record(title=two, authors=others, year=2001, journal="Psychiatric Services"),
        Record(title=two, authors=others, year=2000, journal="Psychiatric Services"),
    ]
    with Project.create(tmp_path / "review.triage", "") as project:
        project.records.add(
            records, [1, 2, 3, 4], name="a.ris", source="a", format="ris", sha256="0", announced=4, problems=()
        )
        asked = {
            (link.kept_id, link.copy_id) for link in find_duplicates(list(project.records.read())) if not link.sure
        }
    assert asked == {(1, 2), (3, 4)}
    known = exports.Exports({}, groups=[[1, 2], [3], [4]])  # the second pair are two works
    run = replay.Triage(tmp_path, say=lambda line: None)
    assert replay.decide_maybes(run, run("dedupe")["maybes"], known) == 1
    assert run("dedupe")["maybes"] == [] and replay.decide_maybes(run, [], known) == 0
    with Project.open(tmp_path / "review.triage") as project:
        assert project.stage().live.duplicates == {2: 1}


@pytest.mark.parametrize(
    "text, plain",
    [("β-blockers ≥ 5 µg in Malmö", "beta-blockers >= 5 microg in Malmo"), ("Łódź – “quoted”", 'Lodz - "quoted"')],
)
def test_ovid_writes_ascii(text, plain):
    assert exports.spelt(text) == plain


@pytest.mark.parametrize(
    "name, family, given",
    [
        ("Sono, Tamaki", "Sono", "Tamaki"),
        ("Sono T", "Sono", "T"),
        ("Larry J. Davidson", "Davidson", "Larry J."),
        ("van de Kar N. J. C.", "van de Kar", "N. J. C."),
        ("Anonymous", "Anonymous", ""),
    ],
)
def test_a_name_has_two_parts(name, family, given):
    assert exports._name(name) == (family, given)
