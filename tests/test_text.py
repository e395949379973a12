"""Text as it may be shown: without control characters and without publishers' markup."""

import unicodedata

import pytest
from hypothesis import given, strategies as st
from terminal_helpers import HOSTILE, SHOWN

from triage.text import CriteriaWords, plain, untagged


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<h3>Methods</h3> We took PM<sub>2.5</sub>, 10<sup>3</sup> m", "Methods: We took PM2.5, 10^3 m"),
        ("One.<h2>Results:</h2>\nTwo", "One.\nResults: Two"),
        ("<jats:title>Aim</jats:title><jats:p>To <jats:italic>see</jats:italic>.</jats:p>", "Aim: To see."),
        ("<p>a</p><p>b<br/>c</p>", "a\nb\nc"),
        ("p<b and c>d; n<i; 3<4>2; <script>x</script>", "p<b and c>d; n<i; 3<4>2; <script>x</script>"),
        ("<h3></h3>a", "a"),
        ("", ""),
    ],
)
def test_tags_that_publishers_leave_are_not_shown(text, shown):
    assert untagged(text) == shown


def test_plain_keeps_text_and_breaks_alone():
    assert plain(HOSTILE).startswith(SHOWN)
    assert plain("a\r\n \n\tb\vc\u2028d") == "a\nb\nc\nd"
    assert plain("p &amp;lt; 0.05 &lt;b&gt;") == "p < 0.05 <b>"
    assert plain("caf\u00e9 \ud800") == "caf\u00e9 ?"
    assert plain("caf\u00e9 \u2265 1", "ascii") == "caf? ? 1"
    assert plain("\u4f60\u597d \u05e9\u05dc\u05d5\u05dd") == "\u4f60\u597d \u05e9\u05dc\u05d5\u05dd"


@given(st.text())
def test_plain_never_lets_a_control_character_through(text):
    assert not [c for c in plain(text) if c != "\n" and unicodedata.category(c) in ("Cc", "Cs")]


def found(words, text):
    return [text[begins:ends] for begins, ends, _ in words.find(text)]


def test_words_that_most_records_have_are_no_words_to_look_for():
    words = CriteriaWords(["Support of people by peers"], ["psychiatr* wards of children"])
    texts = ["Peers support people in psychiatry"] * 10 + ["People on wards, psychiatrists"] * 20
    rest = words.distinguishing(texts)
    text = "people, peers, support, psychiatric wards, children"
    assert found(words, text) == ["people", "peers", "support", "psychiatric", "wards", "children"]
    assert found(rest, text) == ["peers", "support", "children"]  # ten of thirty are no more than a third
    assert set(rest.too_common) == {"people", "psychiatr*", "wards"} and words.too_common == ()


def test_of_few_records_nothing_is_said_to_be_common():
    words = CriteriaWords(["people"], []).distinguishing(["people"] * 29)
    assert found(words, "people") == ["people"]
    assert found(CriteriaWords(["people"], []).distinguishing([]), "people") == ["people"]
