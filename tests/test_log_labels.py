"""What a cell of a table means as a label, and what means none."""

import pytest
from hypothesis import given, settings, strategies as st

from triage.log import Label, label_of

LABELS = {
    **dict.fromkeys(("include", "included", "yes", "y", "true", "1", "1.0", "relevant", "x", "✓"), Label.INCLUDE),
    **dict.fromkeys(("exclude", "excluded", "no", "n", "false", "0", "0.0", "irrelevant"), Label.EXCLUDE),
    **dict.fromkeys(("maybe", "unsure", "unclear", "?"), Label.MAYBE),
}


@settings(deadline=None)
@given(st.sampled_from(sorted(LABELS)), st.data(), st.text(' \t\n\u00a0"“', max_size=2), st.text(' \n"”', max_size=2))
def test_a_label_means_the_same_in_any_case(word, data, before, after):
    cased = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in word)
    assert label_of(before + cased + after) is LABELS[word]


near = st.sampled_from(["includ", "2", "-1", "01", "1.5", "10", "0.1", "perhaps", "nan", "none", "xx", "yes/no", ""])


@settings(deadline=None)
@given(near)
def test_any_other_text_is_no_label(text):
    assert label_of(text) is None


@pytest.mark.parametrize(
    "column, text, label",
    [
        ("Included", "x", Label.INCLUDE),
        ("label", "X", Label.INCLUDE),
        ("decision", "yes", Label.INCLUDE),
        ("Excluded", "x", None),
        ("exclude?", "1", None),
        ("“Exclude”", "no", None),
        ("excluded", "Included", Label.INCLUDE),
        ("excluded", "exclude", Label.EXCLUDE),
        ("excluded", "maybe", Label.MAYBE),
    ],
)
def test_a_yes_in_a_column_about_exclusion_is_never_taken_for_an_include(column, text, label):
    assert label_of(text, column) is label
