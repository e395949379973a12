"""Files written whole or not at all."""

import pytest

from triage.whole import written_whole


def test_an_error_half_way_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(OSError, match="full"), written_whole(path) as unfinished:
        unfinished.write_text("half")
        raise OSError("full")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_written_takes_the_place_of_the_file_under_the_same_ending(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with written_whole(path) as unfinished:
        assert (unfinished.parent, unfinished.suffix) == (tmp_path, ".html")
        unfinished.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
