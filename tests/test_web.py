"""The server: what cannot be served, and a team served over TLS."""

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from triage import web
from triage.errors import InputError


def test_what_cannot_be_served_is_told(review):
    with review(6) as project, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for options, said in (
            ({"port": taken.getsockname()[1]}, "cannot be listened on"),
            ({"certificate": Path("a.pem")}, "go together"),
            ({"certificate": Path("no.pem"), "key": Path("no.pem")}, "not a certificate"),
            ({"host": "0.0.0.0"}, "--public"),
        ):
            with pytest.raises(InputError, match=said):
                web.serve(project, reviewer="ann", say=print, **options)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to make a certificate with")
def test_a_team_is_served_over_tls_and_its_owner_invited(review, tmp_path):
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(tmp_path / "key.pem"),
        "-out",
        str(tmp_path / "cert.pem"),
    ]
    subprocess.run(make, check=True, capture_output=True)
    with review(6) as project:
        path = project.path
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "triage",
        "serve",
        str(path),
        "--port",
        str(port),
        "--reviewer",
        "olga",
        "--public",
        f"https://localhost:{port}",
        "--certificate",
        str(tmp_path / "cert.pem"),
        "--key",
        str(tmp_path / "key.pem"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            link = ""
            while "/join/" not in link:
                link = server.stderr.readline()
                assert link, "the server ended"
            trusted = ssl.create_default_context(cafile=tmp_path / "cert.pem")
            opened_page = urllib.request.urlopen(link.strip(), context=trusted)
            assert opened_page.headers["strict-transport-security"] and "olga" in opened_page.read().decode()
            cookie = opened_page.headers["set-cookie"]
            assert "Secure" in cookie and "HttpOnly" in cookie and "SameSite=strict" in cookie
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(f"https://localhost:{port}/api/session", context=trusted)
            server.send_signal(signal.SIGINT)
            assert server.wait(20) == 130
        finally:
            server.kill()
