"""Numbers of trial registers and of PROSPERO, however they are written."""

import time

import pytest
from hypothesis import given, strategies as st

from triage.registrations import are_of_one_register, entry_number, page_of, registrations_in


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("NCT00392093", ["NCT00392093"]),
        ("Registered as nct 00392093.", ["NCT00392093"]),
        ("https://clinicaltrials.gov/study/NCT00392093?tab=table", ["NCT00392093"]),
        ("ISRCTN 12345678; doi.org/10.1186/ISRCTN12345678", ["ISRCTN12345678"]),
        ("EudraCT number: 2015-001234-12 (EUCTR2015-001234-12-GB)", ["EUCTR2015-001234-12"]),
        ("EU CT 2023-501234-12-00", ["EUCT2023-501234-12"]),
        ("ACTRN12605000123456p", ["ACTRN12605000123456"]),
        ("ChiCTR-TRC-12001234 and ChiCTR2000012345", ["CHICTR12001234", "CHICTR2000012345"]),
        ("CTRI-2012-03-001234, CTRI/2012/03/001234", ["CTRI/2012/03/001234"]),
        ("JPRN-UMIN000001234; UMIN-CTR: UMIN000001234", ["UMIN000001234"]),
        ("PROSPERO 2020 CRD42020123456", ["CRD42020123456"]),
        ("NCT0039209 NCT003920931 xNCT00392093 grant 2015-00123-12", []),
        ("a RCT of 120 adults", []),
    ],
)
def test_numbers_in_text(text, numbers):
    assert list(registrations_in(text)) == numbers


def test_two_numbers_of_one_register_are_two_registrations():
    assert are_of_one_register("NCT00392093", "NCT00000003")
    assert not are_of_one_register("NCT00392093", "EUCTR2015-001234-12")
    assert not are_of_one_register("EUCT2023-501234-12", "EUCTR2015-001234-12")


@pytest.mark.parametrize(
    ("journal", "doi", "extra", "is_article", "number"),
    [
        ("", "", {"NCT Number": ("NCT00392093",)}, False, "NCT00392093"),
        ("ClinicalTrials.gov", "", {"UR": ("https://clinicaltrials.gov/study/NCT00392093",)}, False, "NCT00392093"),
        ("https://clinicaltrials.gov/show/NCT00392093", "", {}, True, "NCT00392093"),
        ("", "10.1186/isrctn12345678", {}, False, "ISRCTN12345678"),
        # An article names its trial too.
        ("Lancet", "", {"Trial registration number": ("NCT00392093",)}, False, ""),
        ("", "", {"NCT Number": ("NCT00392093",)}, True, ""),
        ("", "", {"UR": ("https://journal.example/NCT00392093",)}, False, ""),
        (
            "",
            "",
            {"AN": ("It follows up the trial NCT00392093, of which the results were published in 2009.",)},
            False,
            "",
        ),
    ],
)
def test_what_is_an_entry_of_a_register(journal, doi, extra, is_article, number):
    assert entry_number(journal, doi, extra, is_article=is_article) == number


@given(st.text())
def test_any_text(text):
    assert all(registrations_in(number) == (number,) for number in registrations_in(text))


@pytest.mark.parametrize("text", ["NCT" * 30_000, "UMIN-" * 20_000, "CTRI/2012/" * 9_000, "2015-001234-" * 9_000])
def test_hostile_text_takes_no_time(text):
    start = time.process_time()
    registrations_in(text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("number", "page"),
    [
        ("NCT00392093", "https://clinicaltrials.gov/study/NCT00392093"),
        ("ISRCTN12345678", "https://www.isrctn.com/ISRCTN12345678"),
        ("EUCTR2010-012345-12", "https://www.clinicaltrialsregister.eu/ctr-search/search?query=2010-012345-12"),
        ("CRD42012001234", "https://www.crd.york.ac.uk/prospero/display_record.php?RecordID=42012001234"),
        ("UMIN000012345", ""),
        ("NCT../../x", ""),
    ],
)
def test_the_page_of_a_number(number, page):
    assert page_of(number) == page
