"""What reviewers type to find records, and how it is read."""

import pytest
from hypothesis import given, strategies as st

from triage.records import Record
from triage.searching import parse

RECORD = Record(
    title="Peer support for women with depression: a randomised trial",
    abstract="We studied peers in Zürich. Self-help groups, COVID-19 and naïve care.",
    authors=("Smith, Jane", "Wang, Y"),
    year=2012,
    journal="The Lancet",
    doi="10.1002/cpp.2398",
    pmid="123",
    keywords=("mental health",),
    source="PubMed",
    type="Clinical Trial",
)
CHINESE = Record(title="同伴支持对抑郁症的影响", year=2020)


@pytest.mark.parametrize(
    ("typed", "found", "said"),
    [
        ("peer support", True, "peer and support"),
        ("support PEER", True, "support and PEER"),
        ("pee", False, "pee"),
        ("pee*", True, "pee\u2026"),
        ("peer women men", False, "peer and women and men"),
        ('"peer support"', True, "\u201cpeer support\u201d"),
        ('"support peer"', False, "\u201csupport peer\u201d"),
        ('"self help"', True, "\u201cself help\u201d"),
        ("men OR women", True, "men or women"),
        ("men OR boys women", False, "(men or boys) and women"),
        ("trial men OR women", True, "trial and (men or women)"),
        ("(men trial) OR (women depress*)", True, "(men and trial) or (women and depress\u2026)"),
        ("peer -trial", False, "peer and not trial"),
        ("peer NOT children", True, "peer and not children"),
        ("peer -(trial OR cohort)", False, "peer and not (trial or cohort)"),
        ("wom?n randomi*ed", True, "wom?n and randomi*ed"),
        ("zurich naive", True, "zurich and naive"),
        ("title:peer", True, "peer in title"),
        ("title:zürich", False, "zürich in title"),
        ("author:smith year:2010-2015", True, "smith in author and year 2010 to 2015"),
        ("year:2013-", False, "year from 2013"),
        ("year:-2012", True, "year to 2012"),
        ("year:2012", True, "2012 in year"),
        ("source:pubmed type:trial", True, "pubmed in source and trial in type"),
        ("covid:19", False, "covid:19"),
        ("covid-19", True, "covid-19"),
        ("10.1002/cpp.2398", True, "10.1002/cpp.2398"),
        ("123", True, "123"),
        ('keyword:"mental health"', True, "\u201cmental health\u201d in keyword"),
        ('"peer support', True, "\u201cpeer support\u201d"),
        ("(peer", True, "peer"),
        ("peer) boys", False, "peer and boys"),
        ("OR peer OR", True, "peer"),
        ("* ? -", True, ""),
        ("", True, ""),
        ("()", True, ""),
    ],
)
def test_what_is_typed_is_read_and_found(typed, found, said):
    query = parse(typed)
    assert (query.said, query.matches(RECORD), query.is_empty) == (said, found, not said)


def test_words_of_scripts_without_blanks_are_found_inside_a_text():
    assert parse("支持 抑郁症").matches(CHINESE) and not parse("支持 焦虑").matches(CHINESE)
    assert parse("title:支持").matches(CHINESE) and not parse("支持").matches(RECORD)


@given(st.text('ab ()"-*?:ORNT\\[]{}|.+^$é\n', max_size=60))
def test_nothing_that_can_be_typed_is_refused(typed):
    query = parse(typed)
    assert query.matches(RECORD) in (True, False)
    assert query.is_empty == (query.said == "")


def test_brackets_in_brackets_end_somewhere():
    assert parse("(" * 5_000 + "peer").matches(RECORD)
    assert parse("peer " * 5_000).matches(RECORD)
