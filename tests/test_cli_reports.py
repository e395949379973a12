"""The commands that tell and write: `status`, `log`, `export`, `report`."""

import csv

import pytest
from cli_helpers import a_review, a_triage, labels
from conftest import PROTOCOL, STATUS_KEYS

from triage.log import Kind

triage, review = a_triage, a_review
STAGES = PROTOCOL + '\n[[stages]]\nname = "abstract"\n\n[[stages]]\nname = "full-text"\n'


# -- log ------------------------------------------------------------------------------------------


def test_the_help_of_log_names_every_kind_of_event(review):
    said = review()("log", "--help")
    assert [kind for kind in Kind if f"{kind}" not in said] == []


def test_the_log_only_grows_and_reads_the_same_as_a_table_and_as_json(review):
    triage = review()
    assert triage.json("log", "r.triage") == {"events": []}
    labels(triage, "d.csv", [[1, "include", "a\tb"], [2, "exclude", "x"]], "record_id,label,note")
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    earlier = triage.json("log", "r.triage")["events"]
    triage("undo", "r.triage", "--reviewer", "ann")
    events = triage.json("log", "r.triage")["events"]
    assert events[: len(earlier)] == earlier
    assert (events[-1]["kind"], events[-1]["undoes"]) == ("undo", events[-2]["seq"])
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    header, *rows = [line.split("\t") for line in triage("log", "r.triage").splitlines()]
    assert header == list(events[0])
    assert rows == [["" if v is None else " ".join(str(v).split()) for v in e.values()] for e in events]


# -- status -------------------------------------------------------------------------------------------


def check_status(facts):
    assert STATUS_KEYS <= set(facts)
    assert {"method", "recall_lower", "missed_upper", "audit_draws", "certified"} <= set(facts["certificate"])
    assert {"method", "recall", "lower", "upper", "relevant_total", "assumes"} <= set(facts["estimate"])
    assert {"records_to_certificate", "seconds_per_record", "hours"} <= set(facts["workload"])
    assert {"stop", "why"} <= set(facts["verdict"])
    for rule in facts["rules"]:
        assert {"name", "stop", "promise", "why"} <= set(rule)
    assert facts["screened"] + facts["unscreened"] == facts["records"]
    if not facts["relevant_found"]:
        assert facts["certificate"]["recall_lower"] is None and not facts["certificate"]["certified"]
        assert all(facts["estimate"][key] is None for key in ("recall", "lower", "upper"))
    return facts


def test_status_after_an_import_with_nothing_relevant_with_maybe_and_at_the_end(review):
    triage = review(40)
    fresh = check_status(triage.json("status", "r.triage"))
    assert (fresh["records"], fresh["screened"], fresh["unscreened"], fresh["stage"]) == (40, 0, 40, "abstract")
    assert fresh["workload"]["hours"] is None and (fresh["target"], fresh["confidence"]) == (0.95, 0.95)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, 0] for i in range(2, 7)]))
    nothing = check_status(triage.json("status", "r.triage", "--target", "0.8", "--confidence", "0.9"))
    assert (nothing["screened"], nothing["relevant_found"]) == (5, 0)
    assert (nothing["target"], nothing["confidence"]) == (0.8, 0.9)
    triage("label", "r.triage", labels(triage, "e.csv", [[1, "include"], [7, "maybe"], [13, "maybe"]]))
    maybe = check_status(triage.json("status", "r.triage"))
    assert (maybe["screened"], maybe["relevant_found"], maybe["maybe"]) == (8, 3, 2)
    before = triage.json("status", "r.triage", "--require", "certified", code=1)
    assert before["certificate"]["certified"] is False
    assert "Verdict" in triage("status", "r.triage", "--require", "certified", code=1)
    rest = [i for i in range(1, 41) if i not in (1, 7, 13, *range(2, 7))]
    triage("label", "r.triage", labels(triage, "f.csv", [[i, int(i % 6 == 1)] for i in rest]))
    done = check_status(triage.json("status", "r.triage", "--require", "certified"))
    assert (done["screened"], done["unscreened"], done["relevant_found"]) == (40, 0, 7)
    assert (done["certificate"]["recall_lower"], done["certificate"]["missed_upper"]) == (1, 0)
    assert done["verdict"]["stop"]


def test_status_of_a_review_without_anything_relevant_is_never_certified(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, 0] for i in range(1, 13)]))
    facts = check_status(triage.json("status", "r.triage", "--require", "certified", code=1))
    assert facts["unscreened"] == 0 and facts["certificate"]["missed_upper"] == 0


@pytest.mark.parametrize("option", ["--target", "--confidence"])
@pytest.mark.parametrize("number", ["1.5", "0", "1", "-0.2", "nan", "inf"])
def test_shares_lie_between_0_and_1(review, option, number):
    assert option in review().refused("status", "r.triage", option, number)


def test_a_later_stage_holds_what_the_earlier_one_passed(review):
    triage = review(12, STAGES)
    triage("label", "r.triage", labels(triage, "d.csv", [[i, int(i <= 3)] for i in range(1, 13)]))
    later = triage.json("status", "r.triage", "--stage", "full-text")
    assert (later["stage"], later["records"], later["screened"]) == ("full-text", 3, 0)
    told = triage.refused("label", "r.triage", labels(triage, "e.csv", [[2, 1], [4, 1]]), "--stage", "full-text")
    assert "line 3" in told and "record 4 is not at the stage 'full-text'" in told
    for command in ("status", "rank", "screen"):
        assert "its stages are: abstract, full-text" in triage.refused(command, "r.triage", "--stage", "fulltext")


def test_the_price_of_certainty_is_told_before_the_first_decision_alone(review):
    triage = review(60)
    first, second = (triage.program("screen", "r.triage", "--reviewer", "ann", input="i\nq\n") for _ in range(2))
    assert "What certainty costs at 95 % confidence" in first.stdout and first.returncode == second.returncode == 0
    assert "What certainty costs" not in second.stdout
    assert triage.json("status", "r.triage")["screened"] == 2


# -- export and report ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".ris", ".csv", ".tsv", ".xlsx", ".bib"])
def test_export_writes_each_format_with_the_decisions_and_reads_back(review, ending):
    triage = review(12)
    labels(triage, "d.csv", [[1, "include"], [2, "exclude"], [3, "maybe"]])
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    told = triage.json("export", "r.triage", "-o", f"x{ending}", "--only", "included,maybe")
    assert told == {"file": f"x{ending}", "records": 2}
    if ending != ".xlsx":
        text = (triage.folder / f"x{ending}").read_text(encoding="utf-8-sig")
        assert "include" in text and "maybe" in text and "ann" in text and "kept 0" in text and "number1 " not in text
    assert "exists already" in triage.refused("export", "r.triage", "-o", f"x{ending}", unchanged=(f"x{ending}",))
    if ending != ".bib":
        triage("new", "again.triage", "--protocol", "protocol.toml")
        assert triage.json("import", "again.triage", f"x{ending}")["files"][0]["kept"] == 2


def test_export_selects_by_decision(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0], [3, "maybe"], [4, 0]]))
    counts = {
        only: triage.json("export", "r.triage", "-o", f"{i}.csv", "--only", only)["records"]
        for i, only in enumerate(["included", "excluded", "maybe", "unscreened", "excluded, unscreened"])
    }
    assert counts == {"included": 1, "excluded": 2, "maybe": 1, "unscreened": 8, "excluded, unscreened": 10}
    assert triage.json("export", "r.triage", "-o", "all.csv")["records"] == 12
    for output, told in (("x.docx", ".docx"), ("a.ris", "exists already"), ("nowhere/x.csv", "nowhere")):
        for which in ([], ["--only", "next"]):
            assert told in triage.refused("export", "r.triage", "-o", output, *which, unchanged=("r.triage", "a.ris"))


def test_a_random_sample_of_the_excluded_goes_to_another_reviewer(review):
    """Blind: nothing in the file tells what the first reviewer said; its answers tell of wrong exclusions."""
    triage = review(60)
    first = [[i, "include" if i <= 3 else "exclude", "why-ann" if i > 3 else ""] for i in range(1, 61)]
    triage("label", "r.triage", labels(triage, "d.csv", first, "record_id,label,note"), "--reviewer", "ann")
    assert "ann excluded all" in triage.refused(
        "export", "r.triage", "-o", "x.csv", "--only", "second-look", "--reviewer", "ann"
    )
    assert "cannot be combined with another selection" in triage.refused(
        "export", "r.triage", "-o", "x.csv", "--only", "second-look,maybe"
    )
    second = "export", "r.triage", "-o", "second.csv", "--only", "second-look", "--reviewer", "bob"
    assert triage.json(*second, "--top", "7")["records"] == 7
    sample = triage.json("status", "r.triage")["label_noise"]["pending"]
    again = triage.program("export", "r.triage", "-o", "a.csv", "--only", "second-look", "--reviewer", "bob")
    assert len(sample) == 7 and "Wrote 7 records" in again.stdout  # those asked for already
    price = again.stderr
    assert "What second looks prove, at 95 % confidence" in price and "     57 more: at least 100 %" in price
    text = (triage.folder / "second.csv").read_text(encoding="utf-8-sig")
    assert "exclude" not in text and "ann" not in text
    assert answered(triage, "second.csv") == sample
    triage("label", "r.triage", "second.csv", "--reviewer", "bob")
    noise = triage.json("status", "r.triage")["label_noise"]
    assert noise["judged_twice"] == len(sample) and not noise["pending"]
    assert (
        triage.json("export", "r.triage", "-o", "x.csv", "--only", "second-look", "--reviewer", "bob")["records"] == 50
    )
    assert answered(triage, "x.csv")
    triage("label", "r.triage", "x.csv", "--reviewer", "bob")
    assert "awaits a second look" in triage.refused(
        "export", "r.triage", "-o", "y.csv", "--only", "second-look", "--reviewer", "bob"
    )


def test_audit_draws_are_handed_out_unmarked_and_keep_their_origin(review):
    """Nothing relevant in sixty records: the next batch is drawn at random, and nothing in the file says so."""
    triage = review(150)
    triage("export", "r.triage", "-o", "one.csv", "--only", "next", "--top", "60", "--reviewer", "ann")
    first = answered(triage, "one.csv")
    triage("label", "r.triage", "one.csv", "--reviewer", "bob")
    triage("export", "r.triage", "-o", "two.csv", "--only", "next", "--top", "20", "--reviewer", "ann")
    second = answered(triage, "two.csv")
    assert len(first) == 60 and len(second) == 20 and not set(first) & set(second)
    text = (triage.folder / "two.csv").read_text(encoding="utf-8").lower()
    assert not any(word in text for word in ("audit", "ranked", "origin", "score"))
    assert text.splitlines()[0] == (triage.folder / "one.csv").read_text(encoding="utf-8").lower().splitlines()[0]
    triage("label", "r.triage", "two.csv", "--reviewer", "bob")
    events = triage.json("log", "r.triage")["events"]
    shown = {e["record_id"]: e["origin"] for e in events if e["kind"] == "shown"}
    decided = {e["record_id"]: e["origin"] for e in events if e["kind"] == "decision"}
    assert shown == decided
    assert {shown[i] for i in first} == {"ranked"} and "audit" in {shown[i] for i in second}
    draws = sum(origin == "audit" for origin in shown.values())
    assert triage.json("status", "r.triage")["certificate"]["audit_draws"] == draws


def answered(triage, name):
    """Fill in the column label of a batch as a spreadsheet would; give the record ids."""
    path = triage.folder / name
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file))
    for row in rows:
        assert row[header.index("label")] == ""
        row[header.index("label")] = "exclude"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return [int(row[header.index("record_id")]) for row in rows]


def test_report_is_written_once(review):
    triage = review(12)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    assert triage.json("report", "r.triage", "-o", "report.html") == {"file": "report.html"}
    assert "<svg" in (triage.folder / "report.html").read_text(encoding="utf-8")
    assert triage.json("report", "r.triage", "-o", "flow.svg", "--hide", " sources, reasons ") == {"file": "flow.svg"}
    for output, told in (("report.html", "report.html"), ("x.docx", ".html"), ("nowhere/x.html", "nowhere")):
        assert told in triage.refused("report", "r.triage", "-o", output, unchanged=("r.triage", "report.html"))
    assert "'colour'" in triage.refused("report", "r.triage", "-o", "x.svg", "--hide", "sources,colour")
