"""The interface to programs answers whatever its own description allows, and is never at a loss."""

import time

import pytest
from conftest import PROTOCOL, sample_ris
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings

from triage import intake, web
from triage.project import Project
from triage.web.gate import ServerOrigin

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The application of a review that may be changed by whatever is sent."""
    folder = tmp_path_factory.mktemp("contract")
    (folder / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    (folder / "pubmed.ris").write_text(sample_ris(30), encoding="utf-8")
    intake.new(folder / "review.triage", folder / "protocol.toml")
    with Project.open(folder / "review.triage") as project:
        intake.import_files(project, [folder / "pubmed.ris"], reviewer="ann")
        made = web.make_app(project, ServerOrigin.of("127.0.0.1", 8765, tls=False), reviewer="ann")
        desk = made.state.desks.desk(made.state.project.snapshot(), "ann")
        while desk.queue().preparing:
            time.sleep(0.05)
        yield made
        made.state.desks.close()


# The paths are those of any review; only what they are asked with changes.
def operations():
    made = FastAPI()
    made.include_router(web.api.router)
    return [(path, method) for path, methods in made.openapi()["paths"].items() for method in methods]


@pytest.mark.parametrize("path, method", operations())
def test_no_request_brings_the_server_to_a_loss(app, path, method):
    operation = schemathesis.openapi.from_dict(app.openapi())[path][method.upper()]
    headers = {"host": "127.0.0.1:8765", "x-csrf-token": app.state.access.csrf("only user")}

    @given(case=operation.as_strategy())
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case):
        told = case.call(app=app, base_url="http://127.0.0.1:8765", headers=headers)
        assert told.status_code < 500 and told.status_code not in (401, 403, 421), (told.status_code, told.text)

    ask()
