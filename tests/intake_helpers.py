"""What the tests of files in and out share."""

import csv

import pytest
from conftest import PROTOCOL

from triage import intake
from triage.log import Kind
from triage.project import Project


def decided(project):
    return {e.record_id: e for e in project.log.events() if e.kind is Kind.DECISION}


def decisions_file(path, rows, columns=("record_id", "label", "reason", "note")):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture
def an_empty_review(tmp_path):
    """A review without records."""
    (tmp_path / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    intake.new(tmp_path / "r.triage", tmp_path / "protocol.toml")
    with Project.open(tmp_path / "r.triage") as project:
        yield project


def tags_of(project, stage=None):
    live = project.stage(stage).live
    return {i: [e.reason for e in given] for i, given in live.tagged(stage or "abstract").items()}


TAGGED = 'tags = ["Review", "case report", "qualitative"]' + PROTOCOL
WITH_TAGS = ("record_id", "label", "tags")
