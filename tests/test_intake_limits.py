"""The protocol's limits: each answer to a proposal is in the log at once."""

from conftest import PROTOCOL

from triage import intake
from triage.log import fold
from triage.project import Project


def test_each_answer_to_a_proposal_is_in_the_log_at_once_and_can_be_taken_back(tmp_path):
    titles = ("[Safety of cell salvage in tumor surgery]", "[Peer support in hospitals]")  # brackets: translated
    (tmp_path / "a.ris").write_text("".join(f"TY  - JOUR\nTI  - {t}\nER  - \n" for t in titles), encoding="utf-8")
    (tmp_path / "protocol.toml").write_text(PROTOCOL + '[limits]\nlanguages = ["English"]\n', encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    with Project.open(tmp_path / "r.triage") as project:
        intake.import_files(project, [tmp_path / "a.ris"], reviewer="ann")
        filtered = intake.apply_limits(project, reviewer="ann")
        assert [record.title for record, _ in filtered.proposed] == list(titles)
        for place, answer, removed in ((0, True, [1]), (1, False, [1]), (1, None, [1]), (0, None, []), (1, True, [2])):
            intake.settle(project, filtered.proposed[place], answer, reviewer="ann")
            assert sorted(fold(project.log.events()).removals) == removed
    done = intake.accept(filtered, [False, True])
    assert (done.left, done.removed, done.proposed) == (1, {"language": 1}, [])
    assert intake.accept(filtered, [True, None]).proposed == filtered.proposed[1:]
