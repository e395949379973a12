"""What several tests share: small reviews, and the shared labelled reviews where they are there."""

from pathlib import Path

import numpy as np
import pytest

from triage import intake, ranking
from triage.project import Project

SHARED = Path(__file__).resolve().parents[2] / "shared"
DEMO = Path(__file__).resolve().parents[1] / "data" / "demo"

PROTOCOL = """
title = "Peer support"
question = "Peer support of adults in mental health care"
model = "fast"

[[include]]
code = "PEER"
text = "Peer support of adults with mental health difficulties."

[[exclude]]
code = "CHILD"
text = "Children and adolescents."

[[exclude]]
code = "ONLINE"
text = "Support over the internet."
"""

TOPICS = (
    "peer support workers help adults with schizophrenia in community mental health services to recover",
    "soil bacteria fix nitrogen in the roots of legumes under drought and heat in dry land farming",
    "steel beams of bridges corrode in sea air and lose strength over decades of heavy road traffic",
)


def sample_ris(n: int, first: int = 0, relevant_every: int = 6) -> str:
    """Return n records of RIS: every so many of them about peer support, the others of other fields."""
    rng = np.random.default_rng(n + first)
    lines = []
    for i in range(first, first + n):
        topic = TOPICS[0] if i % relevant_every == 0 else TOPICS[1 + i % 2]
        words = list(rng.permutation(topic.split()))
        lines.append(
            f"TY  - JOUR\nTI  - {' '.join(words[:8])} number{i}\nAB  - {' '.join(words)} {' '.join(words[::-1])} study{i}.\n"
            f"AU  - Author{i}, A\nPY  - {1990 + i % 30}\nU1  - kept {i}\nER  - \n"
        )
    return "\n".join(lines)


@pytest.fixture
def review(tmp_path):
    """Give a function that makes a review of n records; relevant are those with id = 1 modulo 6."""
    made = []

    def make(n: int = 60, protocol: str = PROTOCOL) -> Project:
        path = tmp_path / "my review.triage"
        (tmp_path / "protocol.toml").write_text(protocol, encoding="utf-8")
        (tmp_path / "pubmed.ris").write_text(sample_ris(n), encoding="utf-8")
        intake.new(path, tmp_path / "protocol.toml")
        project = Project.open(path)
        made.append(project)
        intake.import_files(project, [tmp_path / "pubmed.ris"], reviewer="ann")
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture(scope="session")
def elas_u4():
    """ASReview's ELAS u4 as a preset."""
    return ranking.load_preset("elas-u4")
