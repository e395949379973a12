"""What is marked in a review's records."""

from conftest import PROTOCOL
from test_text import found
from web_helpers import alone, opened

from triage.highlights import KINDS, Highlights, Marks
from triage.protocol import COLOURS, WordList
from triage.terminal.screen import STYLES
from triage.text import CriteriaWords

EVERYWHERE = """
[[include]]
code = "FIELD"
text = "Peer support under drought, of beams that corrode in bridges."
"""


def test_words_of_most_records_of_the_review_are_left_out(review):
    # Of six records one is about peer support, two about soil and three about steel.
    with review(60, PROTOCOL + EVERYWHERE) as project:
        words = Highlights().of(project.snapshot())
        assert found(words, "peer support; drought, beams of bridges corrode") == ["peer", "support", "drought"]
        assert set(words.too_common) == {"beams", "corrode", "bridges"}


def test_they_are_counted_once_for_a_set_of_records_and_criteria(review, tmp_path, monkeypatch):
    with review(60) as project:
        read, before = [], type(project.records).read
        monkeypatch.setattr(type(project.records), "read", lambda self, ids=None: read.append(ids) or before(self, ids))
        highlights = Highlights()
        words = highlights.of(project.snapshot())
        project.log.decide("abstract", [{"record_id": 1, "label": "include"}], reviewer="ann")
        assert highlights.of(project.snapshot()).too_common == words.too_common and len(read) == 1
        (tmp_path / "protocol.toml").write_text(PROTOCOL + EVERYWHERE, encoding="utf-8")
        assert project.refresh_protocol()
        assert highlights.of(project.snapshot()).too_common != words.too_common and len(read) == 2


def test_a_large_review_is_sampled(review, monkeypatch):
    monkeypatch.setattr("triage.highlights._SAMPLED", 20)
    with review(200) as project:
        asked, before = [], type(project.records).read
        monkeypatch.setattr(
            type(project.records), "read", lambda self, ids=None: asked.extend(ids) or before(self, ids)
        )
        Highlights().of(project.snapshot())
        assert len(asked) == 20 and max(asked) > 180


def test_the_pages_mark_no_word_that_most_records_have(review):
    with review(60, PROTOCOL + EVERYWHERE) as project, alone(project) as ann:
        ids = {record["record_id"] for record in opened(ann)} | {2, 3}
        for record in (ann.get(f"/api/records/{i}").json() for i in ids):
            pieces = [piece for part in record["abstract"] for piece in part]
            marked = {text for text, kind in pieces if kind}
            text = "".join(text for text, _ in pieces)
            assert marked & {"beams", "corrode", "bridges"} == set()
            assert ("peer" in text) == ("peer" in marked)


# -- lists of one's own ---------------------------------------------------------------------------


def kinds(marks, text):
    return [(text[begins:ends], kind) for begins, ends, kind in marks.find(text)]


def test_words_phrases_and_stems_are_found_whatever_their_case_and_accents():
    marks = Marks(
        CriteriaWords(["support by peers"], ["children"]),
        [
            WordList("design", "violet", ("random*", "controlled trial", "etude")),
            WordList("exclude", "orange", ("peer",)),
        ],
    )
    text = "\u00c9tude: a RANDOMISED controlled-trial of peer support, e\u0301tude; peers, no trial, children"
    assert kinds(marks, text) == [
        ("\u00c9tude", "violet"),
        ("RANDOMISED", "violet"),
        ("controlled-trial", "violet"),
        ("peer", "exclude"),  # one's own list counts, not the criteria
        ("support", "include"),
        ("e\u0301tude", "violet"),
        ("peers", "include"),
        ("children", "exclude"),
    ]


def test_of_two_words_at_one_place_the_longer_is_marked_and_none_overlap():
    lists = [WordList("a", "green", ("trial", "trial of peers", "\u8a66")), WordList("b", "pink", ("peers here",))]
    marks = Marks(CriteriaWords(["peers"], []), lists)
    assert kinds(marks, "A trial of peers here \u8a66\u9a13 \u00df") == [
        ("trial of peers", "green"),
        ("\u8a66", "green"),
    ]
    assert kinds(marks, "") == []


def test_every_colour_can_be_shown():
    assert set(KINDS) == set(COLOURS) and set(KINDS.values()) <= set(STYLES)


def test_own_lists_are_kept_for_one_reviewer_beside_the_log(review):
    with review(60) as project:
        mine = (WordList("design", "green", ("random*",)),)
        before = len(project.log.events())
        project.keep_own_highlights(mine, reviewer="ann")
        assert project.own_highlights("ann") == mine and project.own_highlights("bob") == ()
        assert len(project.log.events()) == before  # which owners read
        project.keep_own_highlights((), reviewer="ann")
        assert project.own_highlights("ann") == ()
