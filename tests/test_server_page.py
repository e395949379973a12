"""The examples of docs/server.md are taken as they are there, and fit the program."""

import configparser
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
import typer
from web_helpers import free_port, serving, team_app

from triage import cli, fulltext, web
from triage.project import Role, Scope
from triage.project.attachments import MOST_GIGABYTES, MOST_OF_RECORD
from triage.web import connections, gate

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "server.md").read_text(encoding="utf-8")
NAME = "review.example.org"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def example(language):
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return found


@contextmanager
def running(command, port, **options):
    """Run a proxy until it listens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options) as proxy:
        try:
            for _ in range(200):
                assert proxy.poll() is None, proxy.stdout.read()
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield
        finally:
            proxy.terminate()
            proxy.wait(20)


def asker(port, context=None):
    """Return a function that asks a proxy from an address of its own: (status, headers, text)."""

    def ask(path, body=None, **headers):
        kind = http.client.HTTPConnection if context is None else http.client.HTTPSConnection
        more = {} if context is None else {"context": context}
        connection = kind("127.0.0.1", port, timeout=20, source_address=("127.0.0.3", 0), **more)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("GET" if body is None else "POST", path, body, {"Host": NAME, **form, **named})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    return ask


def works(app, ask):
    """Check what a proxy has to pass on: the name, the visitor's address and no other, large bodies, tokens."""
    assert ask("/health")[::2] == (200, "ok\n")
    said = {"X_Forwarded_For": "198.51.100.7", "X_Forwarded_Proto": "http"}
    status, headers, text = ask("/login", **said)
    assert status == 200 and headers["strict-transport-security"]
    cookie = headers["set-cookie"].partition(";")[0]
    csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', text)[1]
    form = {"csrf": csrf, "name": "olga", "password": "wrong"}
    assert ask("/login", urlencode(form), Cookie=cookie, Origin=f"https://{NAME}", **said)[0] == 401
    assert [key for key in app.state.access.attempts._failed if key[0] == "from"] == [("from", "127.0.0.3")]
    assert ask("/login", "x" * 900_000)[0] in (403, 422) and ask("/login", "x" * 1_100_000)[0] == 413
    token = app.state.project.people.create_api_token("olga", "metrics", scope=Scope.READ)
    status, _, text = ask("/metrics", Authorization=f"Bearer {token}")
    assert status == 200 and "triage_login_failures_total 1\n" in text


@pytest.fixture
def team(review):
    with review(6) as project:
        project.people.add("olga", Role.OWNER)
        app = team_app(project)
        with serving(app, public=f"https://{NAME}") as listener:
            port = listener.getsockname()[1]
            yield app, port


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx")
@needs_openssl
def test_the_example_for_nginx(team, tmp_path):
    app, port = team
    cert, key = tmp_path / "review.pem", tmp_path / "review.key"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}", "-days", "1"]
    subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    ours, said = free_port(), example("nginx")
    for before, after in (
        ("listen 443 ssl", f"listen 127.0.0.1:{ours} ssl"),
        ("127.0.0.1:8765", f"127.0.0.1:{port}"),
        ("/etc/ssl/certs/review.pem", str(cert)),
        ("/etc/ssl/private/review.key", str(key)),
    ):
        assert said.count(before) == 1
        said = said.replace(before, after)
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"daemon off;\nuser root;\nmaster_process off;\npid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{said}}}\n"
    )
    command = ["nginx", "-c", str(file), "-p", str(tmp_path), "-e", "stderr"]
    with running(command, ours):
        works(app, asker(ours, ssl._create_unverified_context()))


@pytest.mark.skipif(shutil.which("caddy") is None, reason="there is no caddy")
def test_the_example_for_caddy(team, tmp_path, monkeypatch):
    app, port = team
    ours, said = free_port(), example("caddy")
    # Without a certificate authority: over plain HTTP, with TLS ended before it, as the header then says.
    for before, after in (
        (f"{NAME} {{", f"http://{NAME}:{ours} {{"),
        ("reverse_proxy 127.0.0.1:8765", f"reverse_proxy 127.0.0.1:{port}"),
        ("{\n\tservers", "{\n\tadmin off\n\tauto_https off\n\tservers"),
    ):
        assert said.count(before) == 1
        said = said.replace(before, after)
    file = tmp_path / "Caddyfile"
    file.write_text(said)
    monkeypatch.setenv("HOME", str(tmp_path))
    with running(["caddy", "run", "--config", str(file), "--adapter", "caddyfile"], ours):
        works(app, asker(ours))


def test_the_examples_name_what_the_program_has():
    nginx, caddy = example("nginx"), example("caddy")
    port = re.search(r" 127\.0\.0\.1:(\d+)", caddy)
    assert f"proxy_pass http://127.0.0.1:{port[1]};" in nginx and f"reverse_proxy 127.0.0.1:{port[1]}\n" in caddy
    command = typer.main.get_command(cli.app).commands["serve"]
    assert {one.name: one.default for one in command.params}["port"] == int(port[1])
    assert f"client_header_timeout {connections.HEADER_SECONDS:g}s;" in nginx
    assert f"read_header {connections.HEADER_SECONDS:g}s\n" in caddy
    assert f"client_body_timeout {connections.BODY_SECONDS:g}s;" in nginx
    assert f"limit_conn triage {connections.MOST_PER_ADDRESS};" in nginx
    largest = max(most for _, most in gate._UPLOADS.values())
    assert "client_max_body_size 2g;" in nginx and largest <= 2 * 1024**3


def test_the_unit_starts_what_there_is(tmp_path):
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str
    unit.read_string(example("ini"))
    service = unit["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/triage/bin/triage"
    command = typer.main.get_command(cli.app).commands[words[0]]
    options = {name for one in command.params for name in one.opts}
    assert {word for word in words if word.startswith("--")} <= options
    assert int(service["LimitNOFILE"]) >= connections.MOST + connections._SPARE_FILES
    assert service["SuccessExitStatus"] == "143"
    assert service["ReadWritePaths"] == service["WorkingDirectory"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    file = tmp_path / "triage.service"
    file.write_text(example("ini").replace("/opt/triage/bin/triage", shutil.which("true")))
    done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    about = [line for line in done.stderr.splitlines() if "triage.service" in line]
    assert not about, about
    file.write_text(file.read_text().replace("ProtectHome=true", "ProtectHom=true"))
    wrong = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    assert "ProtectHom" in wrong.stderr, "what is wrong is found"


def test_the_page_says_the_limits_that_there_are():
    lines, hours = (most for _, most in connections._WINDOWS)
    for said in (
        f"| {connections.MOST:,}, or as many",
        f"one /64 network) {connections.MOST_PER_ADDRESS}, but",
        f"| {connections.HEADER_SECONDS:g} seconds, and 16 KB |",
        f"{connections._LEAST_BYTES // 1_000} KB in each {connections.BODY_SECONDS:g} seconds",
        f"{lines} lines with their tracebacks in a minute, {hours} in an hour",
        f"{fulltext.MOST_BYTES // 1_000_000} MB each, {MOST_OF_RECORD} for a record, {MOST_GIGABYTES:g} GB for a review",
    ):
        assert said in PAGE, said
    config = web.configured(web.front.Front, "127.0.0.1", 1, certificate=None, key=None, public="")
    assert f"| {config.timeout_keep_alive} seconds |" in PAGE
    assert connections.H11Protocol.__init__.__globals__["DEFAULT_MAX_INCOMPLETE_EVENT_SIZE"] == 16 * 1024


def test_the_example_for_prometheus_asks_for_the_usual_path():
    yaml = pytest.importorskip("yaml")
    (job,) = yaml.safe_load(example("yaml"))["scrape_configs"]
    assert job["scheme"] == "https" and job.get("metrics_path", "/metrics") == web.METRICS
    assert json.dumps(job["static_configs"]) == json.dumps([{"targets": [NAME]}])
