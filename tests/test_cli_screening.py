"""The commands that rank and decide: `label`, `undo`, `rank`, `screen`, `serve`."""

import csv
import io

import pytest
from cli_helpers import a_review, a_triage, labels, one_object, write
from conftest import PROTOCOL, sample_ris

from triage import cli, project as projects, protocol as protocols, second_look
from triage.log import Kind

triage, review = a_triage, a_review


# -- decisions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, told",
    [
        ("record_id,label\n1,include\n2,perhaps\n", "line 3"),
        ("record_id,label\n1,\n2,perhaps\n", "line 3"),
        ("record_id,label\n1,include\n99,include\n", "line 3"),
        ("record_id,label\nx,include\n", "line 2"),
        ("id,label\n1,include\n", "record_id"),
        ("record_id,title\n1,x\n", "label"),
        ("record_id,label,label\n1,0,0\n", "label"),
        ("record_id,label\n1,include\n1,exclude\n", "line 3"),
        ("record_id,label\n1,include,x\n", "line 2"),
        ("record_id,label\n", "no decision"),
        ("", "empty"),
        (b"PK\x03\x04 no zip", "workbook"),
        (bytes(range(256)), "d.csv"),
    ],
)
def test_a_wrong_file_of_decisions_is_refused_whole(review, content, told):
    triage = review()
    write(triage, "d.csv", content)
    assert told in triage.refused("label", "r.triage", "d.csv")


def test_every_error_of_a_file_of_decisions_has_its_own_line_and_steers_no_terminal(review):
    triage = review()
    labels(triage, "d.csv", [[1, "include"], [2, "\x1b[31mno idea"], [99, "include"], [1, "exclude"]])
    told = triage("label", "r.triage", "d.csv", code=2).splitlines()
    assert told[0] == "triage: d.csv has 3 errors, so nothing was taken from it:" and "\x1b" not in "".join(told)
    assert [line.split(":")[0] for line in told[1:]] == ["  line 3", "  line 4", "  line 5", "  What to do"]
    assert triage.json("log", "r.triage")["events"] == []


def test_label_says_how_many_rows_have_no_label(review):
    triage = review()
    labels(triage, "d.csv", [[1, "x"], [2, ""], [3, ""]])
    assert "2 rows have no label: nothing was decided on their records." in triage("label", "r.triage", "d.csv")
    told = triage.json("label", "r.triage", "d.csv")
    assert (told["decisions"], told["unchanged"], told["blank"]) == (0, 1, 2)


def test_what_a_screened_review_exports_goes_into_simulate_and_into_another_review(review):
    triage = review(n=12)
    labels(triage, "d.csv", [[i, ("exclude", "include", "maybe")[(i % 6 == 1) + (i == 2)]] for i in range(1, 13)])
    for i, name in enumerate(("done.csv", "done.xlsx")):
        if not i:
            triage("label", "r.triage", "d.csv")
        triage("export", "r.triage", "-o", name)
        found = triage.json("simulate", name, "--label-column", "label", "--model", "fast")
        assert (found["records"], found["relevant"]) == (12, 3)  # a maybe counts as relevant
    triage("undo", "r.triage")
    triage("export", "r.triage", "-o", "part.csv")
    assert "there is no label" in triage.refused("simulate", "part.csv", "--label-column", "label")
    triage("new", "s.triage", "--protocol", "protocol.toml")
    [taken] = triage.json("import", "s.triage", "done.csv", "--label-column", "label")["files"]
    assert taken["decisions"] == 12


def test_label_refuses_missing_files_folders_and_stages(review):
    triage = review()
    labels(triage, "d.csv", [[1, "include"]])
    (triage.folder / "folder").mkdir()
    assert "none.csv" in triage.refused("label", "r.triage", "none.csv")
    assert "folder" in triage.refused("label", "r.triage", "folder")
    assert "abstract" in triage.refused("label", "r.triage", "d.csv", "--stage", "x")


def test_label_takes_tags_and_warns_of_those_from_elsewhere(review):
    triage = review(protocol='tags = ["Review"]' + PROTOCOL)
    labels(triage, "d.csv", [[1, "include", "review; \x1b[2Jpilot"], [2, "include", "REVIEW"]], "record_id,label,tags")
    assert cli.run(["label", "r.triage", "d.csv", "--reviewer", "ann"]) == 0
    out, err = triage._capsys.readouterr()
    assert "3 tags given, 0 taken back." in out and err.count("\n") == 1
    assert err.startswith("1 tag is none of the protocol's and was kept as written:") and "\x1b[" not in err
    tag = next(e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "tag" and e["record_id"] == 2)
    assert tag["reason"] == "Review" and tag["stage"] == "abstract" and tag["reviewer"] == "ann"
    said = triage("undo", "r.triage", "--event", str(tag["seq"]), "--reviewer", "ann")
    assert f"Took back event {tag['seq']}: tag Review on record 2." in said


def test_label_takes_any_case_keeps_reasons_from_elsewhere_and_warns(review):
    triage = review()
    rows = [[1, "Include", ""], [2, "EXCLUDE", "child"], [3, "mAyBe", ""], [4, 0, "Wrong dose"], [5, 1, ""]]
    labels(triage, "d.csv", rows, "record_id,label,reason")
    assert cli.run(["label", "r.triage", "d.csv", "--reviewer", "ann", "--json"]) == 0
    out, err = triage._capsys.readouterr()
    assert one_object(out) == {
        "decisions": 5,
        "machine": None,
        "suggestions": 0,
        "unchanged": 0,
        "include": 2,
        "maybe": 1,
        "exclude": 2,
        "blank": 0,
        "repeated": 0,
        "unlisted_reasons": {"Wrong dose": 1},
        "tags": {"given": 0, "taken_back": 0},
        "unlisted_tags": {},
        "warnings": [],
    }
    assert "'Wrong dose' (1)" in err and err.count("\n") == 1
    taken = {e["record_id"]: e for e in triage.json("log", "r.triage")["events"] if e["kind"] == "decision"}
    assert {i: (e["label"], e["reason"]) for i, e in taken.items()} == {
        1: ("include", ""),
        2: ("exclude", "CHILD"),
        3: ("maybe", ""),
        4: ("exclude", "Wrong dose"),
        5: ("include", ""),
    }
    assert {e["origin"] for e in taken.values()} == {"chosen"} and {e["reviewer"] for e in taken.values()} == {"ann"}
    assert triage.json("label", "r.triage", "d.csv", "--reviewer", "ann")["unchanged"] == 5


def test_without_reviewer_it_is_the_user_of_the_machine(review, monkeypatch):
    monkeypatch.setenv("LOGNAME", "zoe")
    triage = review()
    triage("label", "r.triage", labels(triage, "d.csv", [[1, "include"]]))
    assert triage.json("undo", "r.triage")["reviewer"] == "zoe"


def test_undo_goes_back_step_by_step_and_says_why_it_cannot(review):
    triage = review()
    assert "ann has no decision" in triage.refused("undo", "r.triage", "--reviewer", "ann")
    triage("label", "r.triage", labels(triage, "d.csv", [[1, "include"], [2, "exclude"]]), "--reviewer", "ann")
    triage("label", "r.triage", labels(triage, "e.csv", [[2, "maybe"]]), "--reviewer", "ann")
    assert "bob has no decision" in triage.refused("undo", "r.triage", "--reviewer", "bob")
    undone = triage.json("undo", "r.triage", "--reviewer", "ann")
    assert undone == {
        "undone": 4,
        "kind": "decision",
        "record_id": 2,
        "label": "maybe",
        "reason": "",
        "reviewer": "ann",
    }
    exported = decisions_of(triage, "after.csv")
    assert exported[2] == "exclude"  # the earlier label is back
    assert "undone already, by event 5" in triage.refused("undo", "r.triage", "--event", "4")
    assert "decide again" in triage.refused("undo", "r.triage", "--event", "5")
    assert "plan" in triage("log", "r.triage").splitlines()[1]
    assert "cannot be undone" in triage.refused("undo", "r.triage", "--event", "1")
    assert "not in the log" in triage.refused("undo", "r.triage", "--event", "99")
    assert "exclude on record 2" in triage("undo", "r.triage", "--reviewer", "ann")
    assert "include on record 1" in triage("undo", "r.triage", "--reviewer", "ann")
    triage.refused("undo", "r.triage", "--reviewer", "ann")


def decisions_of(triage, name):
    triage("export", "r.triage", "-o", name)
    with open(triage.folder / name, encoding="utf-8-sig", newline="") as file:
        return {int(row["record_id"]): row["label"] for row in csv.DictReader(file)}


# -- rank -----------------------------------------------------------------------------------------


def test_rank_prints_the_best_unscreened_records(review):
    triage = review(60)
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0], [3, 0]]))
    told = triage.json("rank", "r.triage", "--top", "8")
    assert [r["rank"] for r in told["records"]] == list(range(1, 9)) and isinstance(told["as_of"], int)
    assert {"record_id", "rank", "score", "title"} <= set(told["records"][0]) and told["model"]["name"] == "fast"
    assert not {1, 2, 3} & {r["record_id"] for r in told["records"]}
    assert all(r["record_id"] % 6 == 1 for r in told["records"])
    scores = [r["score"] for r in told["records"]]
    assert scores == sorted(scores, reverse=True)
    assert len(triage("rank", "r.triage", "--top", "3").splitlines()) == 3
    told = triage.json("rank", "r.triage", "--explain", "7")
    ranked = triage.json("rank", "r.triage", "--top", "60")["records"]
    assert told["record_id"] == 7 and sum(told["parts"].values()) == pytest.approx(told["score"], abs=1e-5)
    assert told["score"] == pytest.approx(next(r["score"] for r in ranked if r["record_id"] == 7), abs=1e-4)
    assert {known["record_id"]: known["relevant"] for known in told["known"]} == {1: True, 2: False, 3: False}
    assert told["known"][0]["record_id"] == 1 and told["known"][0]["weight"] > 0  # the one that is like it
    assert all(term["weight"] for term in told["terms"])
    printed = triage("rank", "r.triage", "--explain", "7")
    assert "score" in printed and "record 1 (relevant)" in printed
    assert "no record 99" in triage.refused("rank", "r.triage", "--explain", "99", unchanged=())
    assert "elas-u4" in triage.refused("rank", "r.triage", "--model", "best")


def test_poor_criteria_are_told_with_what_they_match(review):
    triage = review(60, protocol='question = "peer support zebras"\n')
    told = triage.json("rank", "r.triage")
    assert told["basis"] == "criteria" and told["criteria"]["poor"] and told["criteria"]["words"] == 3
    (match,) = told["criteria"]["matches"]
    assert match["unknown"] == ["zebras"] and match["record_id"] % 6 == 1
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1], [2, 0]]))
    assert "criteria" not in triage.json("rank", "r.triage")


SAID = "records come in the order of import until there are an include and an exclude to learn from"
COMMANDS = [
    ("import", "r.triage", "b.ris"),
    ("import", "r.triage", "b.ris", "--json"),
    ("rank", "r.triage"),
    ("rank", "r.triage", "--json"),
    ("rank", "r.triage", "--explain", "1"),
    ("screen", "r.triage"),
    ("export", "r.triage", "-o", "next.csv", "--only", "next"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_protocol_to_rank_nothing_by_is_told_before_the_work_and_no_more_once_it_is_filled_in(
    review, capsys, monkeypatch, command
):
    triage = review(12, protocol=protocols.template())
    write(triage, "b.ris", sample_ris(3, first=20))

    def run():
        monkeypatch.setattr("sys.stdin", io.StringIO(""))
        (triage.folder / "next.csv").unlink(missing_ok=True)
        assert cli.run([*command, *(() if command[0] == "import" else ("--model", "fast"))]) == 0
        return capsys.readouterr()

    out, err = run()
    first = err.splitlines()[0]
    assert first.startswith("protocol.toml is still an empty template, with neither a question nor") and SAID in first
    assert err.count("order of import") == 1 and SAID not in out.replace(first, "")
    if "--json" in command:
        assert one_object(out)["warnings"] == [first]
    # The template's comments stay; an own criterion is added.
    write(triage, "protocol.toml", protocols.template() + '[[include]]\ncode = "P"\ntext = "Peer support"\n')
    out, err = run()
    assert "order of import" not in out + err and "an empty template" not in err
    if "--json" in command:
        assert one_object(out)["warnings"] == []


def test_serve_says_before_it_serves_that_nothing_ranks(review, capsys, monkeypatch):
    triage = review(6, protocol=protocols.template())
    seen = []
    monkeypatch.setattr("triage.web.serve", lambda project, **options: seen.append(capsys.readouterr().err))
    assert cli.run(["serve", "r.triage"]) == 0
    write(triage, "protocol.toml", PROTOCOL)
    assert cli.run(["serve", "r.triage"]) == 0
    assert seen[0].startswith("protocol.toml is still an empty template") and SAID in seen[0]
    assert "order of import" not in seen[1]


def test_an_export_that_is_no_batch_says_nothing_of_the_ranking(review, capsys):
    triage = review(6, protocol=protocols.template())
    triage("export", "r.triage", "-o", "all.csv", "--only", "unscreened")
    assert capsys.readouterr().err == ""


def test_once_the_ranking_learns_from_labels_the_warning_speaks_of_no_order_of_import(review, capsys):
    triage = review(12, protocol=protocols.template())
    triage("label", "r.triage", labels(triage, "d.csv", [[1, 1]]))
    assert triage.json("rank", "r.triage", "--model", "fast")["basis"] == "order"  # one label alone teaches nothing
    triage("label", "r.triage", labels(triage, "d.csv", [[2, 0]]))
    told = triage.json("rank", "r.triage", "--model", "fast")
    assert told["basis"] == "labels"
    assert "the ranking learns only from the decisions: write the question" in told["warnings"][0]
    assert "order of import" not in told["warnings"][0]


def test_a_model_that_reads_no_criteria_is_not_laid_to_the_protocol(review, capsys):
    review(12)
    assert cli.run(["rank", "r.triage", "--model", "elas-u4"]) == 0
    err = capsys.readouterr().err
    assert "The model elas-u4 does not read the criteria" in err and "protocol" not in err


def test_criteria_in_a_script_without_blanks_are_counted_by_their_characters(review):
    triage = review(
        6,
        protocol='question = "\u7cbe\u795e\u5065\u5eb7\u670d\u52d9\u306b\u304a\u3051\u308b\u6210\u4eba\u306e\u76f8\u4e92\u652f\u63f4\u306e\u52b9\u679c\u306b\u95a2\u3059\u308b\u7814\u7a76"\n',
    )
    told = triage.json("rank", "r.triage")["criteria"]
    assert not told["poor"] and told["matches"][0]["unknown"] == []


# -- screen ---------------------------------------------------------------------------------------


def test_a_second_look_is_taken_in_the_terminal_with_the_same_keys(review, monkeypatch):
    triage = review(120)
    first = [[i, "include" if i <= 3 else "exclude", "why-ann"] for i in range(1, 121)]
    triage("label", "r.triage", labels(triage, "d.csv", first, "record_id,label,note"), "--reviewer", "ann")
    second = "screen", "r.triage", "--second-look", "--reviewer"
    assert "ann excluded all" in triage.refused(*second, "ann")
    assert "belongs to --second-look" in triage("screen", "r.triage", "--size", "3", code=2)
    assert "no stage" in triage.refused(*second, "bob", "--stage", "none")
    assert "ranks nothing" in triage(*second, "bob", "--model", "fast", code=2)
    keys = ["i", "u", "n", "on second look", "m", "e", "1", "q"]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(keys) + "\n"))
    said = triage(*second, "bob", "--size", "6")
    assert "why-ann" not in said and "6 left" in said
    assert said.index("What second looks prove, at 95 % confidence") < said.index("6 left")
    with projects.Project.open(triage.folder / "r.triage") as project:
        sample = second_look.Looks.of(project.snapshot()).so_far
    assert len(sample) == 6
    assert "2 decisions this time, 1 of them include or maybe." in said
    with projects.Project.open(triage.folder / "r.triage") as project:
        mine = {
            e.record_id: (e.label, e.reason, e.note) for e in project.live().decisions.values() if e.reviewer == "bob"
        }
        assert mine == {sample[0]: ("maybe", "", "on second look"), sample[1]: ("exclude", "CHILD", "")}
        assert not [e for e in project.log.events() if e.kind is Kind.SHOWN]
    monkeypatch.setattr("sys.stdin", io.StringIO("e\n\n" * len(sample)))
    said = triage(*second, "bob")
    assert "No record awaits your second look any more." in said and f"{len(sample) - 2} decisions this time" in said
    noise = triage.json("status", "r.triage")["label_noise"]
    assert (noise["judged_twice"], noise["overturned"], noise["pending"]) == (len(sample), 1, [])
    assert [one["record_id"] for one in triage.json("conflicts", "r.triage")["conflicts"]] == [sample[0]]


def test_in_the_terminal_a_record_is_explained_its_pdfs_opened_and_maybes_gone_through_again(review, monkeypatch):
    triage = review(40)
    with (triage.folder / "protocol.toml").open("a", encoding="utf-8") as file:
        file.write('\n[[stages]]\nname = "abstract"\n[[stages]]\nname = "full-text"\n')
    opened = []
    monkeypatch.setattr("triage.terminal.open_file", lambda path: opened.append((path.name, path.read_bytes())) or True)

    def screened(*keys):
        monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(keys) + "\n"))
        return triage("screen", "r.triage", "--reviewer", "ann", "--model", "fast")

    said = screened("w", "p", "n", "which dose?", "m", "i", "q")
    assert "abstract | 0 of 40 screened" in said
    assert "Near the criteria" in said and "nearer than" in said and "score" not in said
    assert "This record has no PDF" in said and not opened
    with projects.Project.open(triage.folder / "r.triage") as project:
        (maybe,) = [e for e in project.live().decisions.values() if e.label == "maybe"]
        project.attachments.attach(maybe.record_id, "../../x.pdf", b"%PDF-1.7", reviewer="ann")
    said = screened("r", "p", "e", "1", "q")
    assert "1 PDF opened." in said and opened == [(f"record-{maybe.record_id}-1.pdf", b"%PDF-1.7")]
    with projects.Project.open(triage.folder / "r.triage") as project:
        now = project.live().decisions["abstract", maybe.record_id, "ann"]
    assert (now.label, now.reason, now.note) == ("exclude", "CHILD", "which dose?")


# -- likely mistakes ------------------------------------------------------------------------------


def test_likely_mistakes_are_listed_by_models_that_have_not_seen_the_label(review):
    """Of peer support are 1, 7, 13 ...: one of them was excluded by mistake, and one of the others included."""
    triage = review(90)
    wrong, other = 31, 50
    rows = [[i, "include" if (i % 6 == 1) != (i in (wrong, other)) else "exclude"] for i in range(1, 91)]
    triage("label", "r.triage", labels(triage, "d.csv", rows), "--reviewer", "ann")
    found = triage.json("doubts", "r.triage", "--top", "3")
    assert found["excluded"][0]["record_id"] == wrong and found["included"][0]["record_id"] == other
    assert found["excluded"][0]["beyond"] > 0.2 > found["excluded"][1]["beyond"]
    assert found["excluded"][0]["reviewers"] == ["ann"] and len(found["included"]) == len(found["excluded"]) == 3
    said = triage("doubts", "r.triage", "--top", "1")
    assert f"{wrong}  ann  " in said and f"{other}  ann  " in said
    # Looked at again by somebody else, a record is doubted no more; it is one judged again, and no evidence.
    triage("label", "r.triage", labels(triage, "e.csv", [[wrong, "exclude"]]), "--reviewer", "bob")
    assert triage.json("doubts", "r.triage", "--top", "3")["excluded"][0]["record_id"] != wrong
    noise = triage.json("status", "r.triage")["label_noise"]
    assert (noise["judged_twice"], noise["sample"], noise["recall_lower"]) == (0, 0, None)


def test_without_labels_of_both_kinds_nothing_is_doubted(review):
    assert "two relevant and two irrelevant" in review(12).refused("doubts", "r.triage")
