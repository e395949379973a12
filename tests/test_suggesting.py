"""A language model is asked: by a stub of a server that fails in every way, so that no answer is lost, doubled or made up."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from cli_helpers import a_review, a_triage, labels, one_object, write
from conftest import PROTOCOL
from suggesting_helpers import (
    KEY,
    Server,
    a_server,
    an_environment,
    asked_about,
    completion,
    declared,
    ended,
    events,
    suggested,
    to,
)

from triage.errors import InputError
from triage.log import Kind, Label
from triage.project import Project
from triage.ranking.review import newest_ranking_of
from triage.suggesting import Endpoint, client as _client, key_of_the_environment
from triage.suggesting.answers import Answer, KeptAnswers
from triage.suggesting.endpoint import Key

triage, review, server, environment = a_triage, a_review, a_server, an_environment


# -- a good server --------------------------------------------------------------------------------


def test_answers_become_suggestions_and_no_decisions(review, server):
    triage = review()
    told = triage.json(*to(server, "--top", 8, "--yes", "--price-in", 2, "--price-out", 10))
    assert (told["records"], told["to_ask"], told["suggestions"]) == (8, 8, 8)
    assert told["include"] == 5 and told["exclude"] == 3 and told["maybe"] == 0 and not told["failed"]
    assert (told["replies"], told["tokens_in"], told["tokens_out"]) == (8, 2400, 320)
    assert told["cost"] == pytest.approx((2400 * 2 + 320 * 10) / 1e6)
    assert told["estimated_cost"] < told["most_cost"] and told["versions"] == ["stub-2026-01"]
    given = suggested(triage.folder)
    assert {i for i, e in given.items() if e.label is Label.INCLUDE} == {1, 7, 13, 19, 25}
    excluded = next(e for e in given.values() if e.label is Label.EXCLUDE)
    assert excluded.reason == "CHILD" and excluded.reviewer == "m" and json.loads(excluded.note)["score"] == 0.1
    assert not events(triage.folder, Kind.DECISION)
    assert triage.json("status", "r.triage")["screened"] == 0
    [known] = declared(triage.folder)
    assert (known["model"], known["version"], known["by"]) == ("m", "stub-2026-01", "ann")
    assert known["prompt_sha256"] == told["prompt_sha256"] and "without" not in known
    triage("report", "r.triage", "-o", "r.html")
    report = (triage.folder / "r.html").read_text(encoding="utf-8")
    assert f"m (version stub-2026-01; prompt with the SHA-256 {told['prompt_sha256']}) made suggestions" in report
    for said in ("Peer support of adults", "CHILD: Children and adolescents.", "ONLINE", "{record}"):
        assert said in known["prompt"]
    _, headers, body = server.requests[0]
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["seed"], body["max_tokens"]) == ("m", 0, 0, 1000)
    schema = body["response_format"]["json_schema"]["schema"]["properties"]
    assert schema["label"]["enum"] == ["include", "exclude", "maybe"] and schema["reason"]["enum"] == [
        "",
        "CHILD",
        "ONLINE",
    ]
    assert triage("suggest", "r.triage", "--endpoint", server.url, "--model", "m", "--top", 8).startswith(
        "0 suggestions"
    )
    assert len(server.requests) == 8


def test_it_asks_in_the_order_of_the_ranking_whatever_is_to_be_drawn(review, server, capsys):
    triage = review()
    labels(triage, "d.csv", [[1, "include"], [2, "exclude"], [3, "exclude"]])
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    triage("export", "r.triage", "-o", "batch.csv", "--only", "next", "--top", 5)  # the permutation is committed now
    with Project.open(triage.folder / "r.triage") as project:
        ranked = newest_ranking_of(project, None, None, "auto", None)
        ids = ranked.stage.record_ids[ranked.order].tolist()
        titles = {r.id: r.title for r in project.records.read()}
    left = [i for i in ids if i not in (1, 2, 3)]
    triage(*to(server, "--top", 6, "--yes"))
    assert server.titles == [titles[i] for i in left[:6]]
    triage(*to(server, "--top", 6, "--yes"))
    assert len(server.requests) == 6
    assert (
        "30 records at the stage abstract, 3 of them screened already"
        in ended(triage, capsys, to(server, "--all", "--yes"))[2]
    )
    assert server.titles[6:] == [titles[i] for i in left[6:]] + [titles[i] for i in ids if i in (1, 2, 3)]
    assert set(suggested(triage.folder)) == set(range(1, 31))


def test_what_a_machine_suggests_does_not_choose_what_it_is_asked_about(review, server):
    triage = review()
    labels(triage, "d.csv", [[i, "include" if i % 6 == 1 else "exclude"] for i in range(1, 13)])
    triage("label", "r.triage", "d.csv", "--reviewer", "ann")
    # People's labels bear it out, so the ranking heeds it: it would bring up what it does not know as yet.
    odd = tuple(f"number{i}" for i in range(13, 30, 2))
    server.reply = lambda n, asked: server.good(
        asked, **{"label": "include", "score": 0.9} if asked.endswith(odd) else {}
    )
    triage(*to(server, "--all", "--yes", model="another"))
    server.requests.clear()
    server.reply = lambda n, asked: server.good(asked, label="exclude", score=0)
    ranked = ranked_without(triage)
    triage(*to(server, "--top", 9, "--yes"))
    assert len(server.requests) == 9 and set(suggested_by(triage, "m")) == set(ranked[:9])
    told = triage.json(*to(server, "--top", 9))
    assert (told["in_force"], told["to_ask"]) == (9, 0)


def ranked_without(triage):
    """Return the unscreened records as they are ranked where machines are kept out of it."""
    (triage.folder / "protocol.toml").write_text(PROTOCOL + "[machines]\nrank = false\n", encoding="utf-8")
    found = [one["record_id"] for one in triage.json("rank", "r.triage", "--top", 30)["records"]]
    (triage.folder / "protocol.toml").write_text(PROTOCOL, encoding="utf-8")
    assert found != [one["record_id"] for one in triage.json("rank", "r.triage", "--top", 30)["records"]]
    return found


def suggested_by(triage, name):
    return [e.record_id for e in events(triage.folder, Kind.SUGGESTION) if e.reviewer == name]


def test_what_it_would_send_is_told_and_nothing_is_sent_unconfirmed(review, server, capsys, monkeypatch):
    triage = review()
    arguments = to(server, "--top", 4, "--price-in", 1, "--price-out", 2)
    code, out, err = ended(triage, capsys, arguments)
    assert (code, out) == (2, "") and "say --yes" in err
    for said in (
        server.url,
        "model m",
        "TRIAGE_API_KEY",
        "4 records, one a request",
        "Tokens: about",
        "Cost at your prices",
    ):
        assert said in err
    code, out, err = ended(triage, capsys, [*arguments, "--json"])
    assert (code, out) == (2, "")
    for answer in ("n\n", "\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        code, out, err = ended(triage, capsys, arguments)
        assert code == 2 and "Nothing was sent." in err
    assert not server.requests
    with Project.open(triage.folder / "r.triage") as project:
        assert not [e for e in project.log.events() if e.kind in (Kind.MACHINE, Kind.SUGGESTION)]
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    code, out, err = ended(triage, capsys, [*arguments, "--json"])
    assert code == 0 and one_object(out)["suggestions"] == 4 and "Send them?" in err


class Terminal:
    encoding = "utf-8"

    def __init__(self, typed):
        self.typed = typed

    def isatty(self):
        return True

    def readline(self, *_):
        return self.typed


def test_another_name_or_prompt_is_declared_and_earlier_answers_are_used(review, server):
    triage = review()
    triage(*to(server, "--top", 3, "--yes"))
    told = triage.json(
        *to(server, "--top", 3, "--name", "model m, version 1")
    )  # nothing to send, so nothing to confirm
    assert (told["cached"], told["to_ask"], told["suggestions"], len(server.requests)) == (3, 0, 3, 3)
    write(triage, "prompt.txt", 'Only trials. {include}\nSuch as {"a": 1} and {this}.')
    triage(*to(server, "--top", 3, "--yes", "--prompt-file", "prompt.txt"))
    assert len(server.requests) == 6
    one, other, changed = declared(triage.folder)
    assert one["prompt"] == other["prompt"] != changed["prompt"]
    assert changed["prompt"].startswith(
        'Only trials. - PEER: Peer support of adults with mental health difficulties.\nSuch as {"a": 1} and {this}.'
    )
    assert "one of the codes CHILD, ONLINE" in changed["prompt"]  # what an answer is is always said
    names = [e.reviewer for e in events(triage.folder, Kind.MACHINE)]
    assert names == ["m", "model m, version 1", "m"]
    triage(*to(server, "--top", 3, "--prompt-file", "prompt.txt"))
    assert len(declared(triage.folder)) == 3
    # Back at the first prompt: its answers are there, and are written as its own.
    triage(*to(server, "--top", 3))
    assert len(server.requests) == 6 and declared(triage.folder)[3] == one


def test_what_the_log_has_is_not_asked_again_where_the_cache_is_gone(review, server):
    triage = review()
    triage(*to(server, "--top", 3, "--yes"))
    shutil.rmtree(triage.folder / "own.cache" / "suggestions")
    told = triage.json(*to(server, "--top", 4, "--yes"))
    assert (told["in_force"], told["to_ask"], len(server.requests)) == (3, 1, 4)


def test_how_far_it_is_is_told_with_the_time_left(review, server):
    triage = review()
    triage("rank", "r.triage")
    server.reply = lambda n, asked: (time.sleep(0.2), server.good(asked))[1]
    done = triage.program(*to(server, "--top", 12, "--yes"))
    assert done.returncode == 0 and re.search(r"Asking: \d+ of 12, [\d.]+ records a second, \d+ s left", done.stderr)


def test_answers_in_parallel_come_once_each(review, server):
    triage = review(60)
    server.reply = lambda n, asked: (time.sleep(0.02), server.good(asked))[1]
    triage(*to(server, "--all", "--yes", "--parallel", 8))
    assert len(set(server.titles)) == len(server.titles) == 60 and len(suggested(triage.folder)) == 60
    assert len(declared(triage.folder)) == 1


def test_no_more_requests_are_made_than_the_rate_allows(review, server):
    triage = review()
    triage(*to(server, "--top", 5, "--yes", "--parallel", 4, "--rate", 600))
    times = sorted(at for at, _, _ in server.requests)
    assert all(later - earlier > 0.06 for earlier, later in pairwise(times)) and times[-1] - times[0] > 0.35


# -- the key --------------------------------------------------------------------------------------


def everything_written(folder):
    return b"".join(path.read_bytes() for path in Path(folder).rglob("*") if path.is_file())


def test_the_key_is_sent_to_the_endpoint_and_is_nowhere_else(review, server, capsys):
    triage = review()
    # A server that says the key wherever it can.
    server.reply = lambda n, asked: (
        completion(
            json.dumps({"label": "include", "score": 1, "reason": "", "rationale": f"with {KEY}"}), model=f"x {KEY}"
        )
        if n < 3
        else (422, {}, {"error": {"message": f"no good key {KEY}"}})
    )
    code, out, err = ended(triage, capsys, to(server, "--top", 4, "--yes", "--json"))
    assert code == 1 and len(one_object(out)["failed"]) == 2 and "no good key [key]" in err
    assert len(suggested(triage.folder)) == 2
    printed = out + err + triage("log", "r.triage") + str(Key("V", KEY))
    assert KEY not in printed and KEY.encode() not in everything_written(triage.folder)
    assert b"with [key]" in everything_written(triage.folder)
    server.reply = lambda n, asked: (401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    code, out, err = ended(triage, capsys, to(server, "--all", "--yes"))
    assert code == 2 and KEY not in out + err


def test_which_key_is_taken(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "other")
    assert key_of_the_environment().value == KEY
    monkeypatch.setenv("TRIAGE_API_KEY", " ")
    assert key_of_the_environment() == Key("OPENAI_API_KEY", "other")
    monkeypatch.setenv("OPENAI_API_KEY", "se\ncret-key")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as error:
        key_of_the_environment()
    assert "cret" not in str(error.value)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert key_of_the_environment() is None


def test_without_a_key_none_is_sent(review, server, monkeypatch):
    monkeypatch.delenv("TRIAGE_API_KEY")
    review()(*to(server, "--top", 1, "--yes"))
    assert "authorization" not in server.requests[0][1]


def test_no_proxy_comes_between_this_machine_and_itself(review, server, monkeypatch):
    proxy = Server()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
    review()(*to(server, "--top", 1, "--yes"))
    proxy.close()
    assert len(server.requests) == 1 and not proxy.requests


# -- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address, url",
    [
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("http://127.8.0.1/v1/chat/completions", "http://127.8.0.1/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("https://api.example.org/v1", "https://api.example.org/v1"),
    ],
)
def test_addresses(address, url):
    assert Endpoint.of(address).url == url


@pytest.mark.parametrize(
    "address, said",
    [
        ("http://api.example.org/v1", "--insecure"),
        ("http://localhost.example.org/v1", "--insecure"),
        ("http://10.0.0.7:8000/v1", "--insecure"),
        ("http://0x7f.1/v1", "--insecure"),
        ("https://user:hunter2@api.example.org/v1", "TRIAGE_API_KEY"),
        ("https://api.example.org/v1?key=hunter2", "TRIAGE_API_KEY"),
        ("https://api.example.org/v1#hunter2", "TRIAGE_API_KEY"),
        ("ftp://api.example.org", "is not an address"),
        ("localhost:11434/v1", "is not an address"),
        ("https://[::1/v1", "is not an address"),
        ("https://localhost:port/v1", "is not an address"),
        ("", "is not an address"),
    ],
)
def test_addresses_that_are_refused(review, address, said, server):
    message = review(2).refused("suggest", "r.triage", "--endpoint", address, "--model", "m", "--all", "--yes")
    assert said in message and "hunter2" not in message


def test_plain_http_to_another_machine_when_it_is_allowed():
    assert Endpoint.of("http://10.0.0.7:8000/v1", insecure=True).url == "http://10.0.0.7:8000/v1"


def test_a_redirection_is_not_followed(review, server, capsys):
    other = Server()
    server.reply = lambda n, asked: (307, {"Location": f"{other.url}/chat/completions"}, b"")
    code, _, err = ended(review(), capsys, to(server, "--top", 2, "--yes"))
    other.close()
    assert code == 2 and "not followed" in err and len(server.requests) == 1 and not other.requests


# -- servers that fail ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failing, tries",
    [
        (lambda n: (500, {}, b"oops"), 4),
        (lambda n: (503, {}, {"error": "busy"}), 4),
        (lambda n: (429, {}, {"error": {"message": "slow down"}}), 4),
        (lambda n: (None, {}, b""), 4),
        (lambda n: (200, {"Content-Length": "500"}, b'{"choices"'), 4),
        (lambda n: (200, {}, b"<html>"), 4),
        (lambda n: (200, {}, {"error": {"message": "upstream", "code": 429}}), 4),
        (lambda n: (200, {}, {"choices": "none"}), 4),
        (lambda n: (200, {}, [1]), 4),
        (lambda n: completion("I would include it."), 2),
        (lambda n: completion(""), 2),
        (lambda n: completion("[" * 50_000), 2),
        (lambda n: completion('{"label": "yes", "score": 1, "reason": "", "rationale": ""}'), 2),
    ],
)
def test_it_asks_again_until_it_is_answered(review, server, failing, tries):
    triage = review(2)
    server.reply = lambda n, asked: failing(n) if n <= tries else server.good(asked)
    told = triage.json(*to(server, "--record", 1, "--yes"))
    assert told["suggestions"] == told["include"] == 1 and len(server.requests) == tries + 1
    assert json.loads(suggested(triage.folder)[1].note)["rationale"].startswith("On ")


def test_a_wait_that_is_asked_for_is_kept(review, server):
    server.reply = lambda n, asked: (429, {"Retry-After": "1"}, b"") if n == 1 else server.good(asked)
    review()(*to(server, "--top", 3, "--yes", "--parallel", 2))
    times = [at for at, _, _ in server.requests]
    late = [at - times[0] for at in times if at - times[0] > 0.3]  # but for one that was under way with the first
    assert len(times) == 4 and len(late) >= 2 and min(late) >= 1


def test_a_wait_too_long_ends_the_run(review, server, capsys):
    server.reply = lambda n, asked: (429, {"Retry-After": "86400"}, b"") if n == 3 else server.good(asked)
    triage = review()
    code, _, err = ended(triage, capsys, to(server, "--top", 5, "--yes"))
    assert code == 2 and "run this again after that" in err and "The 2 answers that had come are kept" in err
    assert len(suggested(triage.folder)) == 2
    server.reply = lambda n, asked: server.good(asked)
    triage(*to(server, "--top", 5, "--yes"))
    assert len(suggested(triage.folder)) == 5 and len(server.requests) == 6


def test_a_server_that_stalls_is_asked_again(review, server):
    triage = review(2)

    def reply(n, asked):
        if n == 1:
            server.release.wait(20)
        return server.good(asked)

    server.reply = reply
    began = time.monotonic()
    triage(*to(server, "--record", 1, "--yes", "--timeout", 0.5))
    assert len(server.requests) == 2 and time.monotonic() - began < 10 and len(suggested(triage.folder)) == 1


def test_a_reply_that_only_drips_in_is_given_up(review, server):
    triage = review(2)
    drips = (time.sleep(0.1) or b" " for _ in range(600))
    server.reply = lambda n, asked: (200, {}, drips) if n == 1 else server.good(asked)
    began = time.monotonic()
    triage(*to(server, "--record", 1, "--yes", "--timeout", 0.5))
    assert len(server.requests) == 2 and time.monotonic() - began < 10 and len(suggested(triage.folder)) == 1


def test_an_answer_that_never_ends_is_given_up(review, server, capsys, monkeypatch):
    monkeypatch.setattr(_client, "_MOST_BYTES", 10_000)
    server.reply = lambda n, asked: (200, {}, b" " * 100_000)
    code, _, err = ended(review(2), capsys, to(server, "--record", 1, "--yes"))
    assert code == 1 and "larger than" in err and len(server.requests) == 1


@pytest.mark.parametrize(
    "status, body, said",
    [
        (401, {}, "refuses the key in TRIAGE_API_KEY"),
        (403, {}, "refuses the key in TRIAGE_API_KEY"),
        (404, {"error": {"message": "model m not found"}}, "model m not found"),
        (402, {}, "used up"),
        (429, {"error": {"code": "insufficient_quota", "message": "You exceeded it"}}, "used up"),
    ],
)
def test_what_cannot_get_better_ends_the_run_at_once(review, server, capsys, status, body, said):
    server.reply = lambda n, asked: (status, {}, body)
    triage = review()
    code, out, err = ended(triage, capsys, to(server, "--top", 5, "--yes"))
    assert (code, out, len(server.requests)) == (2, "", 1)
    assert said in err.splitlines()[-1] and err.count("triage:") == 1 and "Traceback" not in err
    assert not suggested(triage.folder) and not declared(triage.folder)


def test_a_server_that_is_not_there(review, server, capsys):
    server.close()
    code, _, err = ended(review(), capsys, to(server, "--top", 5, "--yes"))
    assert code == 2 and "cannot be reached" in err


def test_a_server_that_only_fails_is_not_asked_about_every_record(review, server, capsys):
    server.reply = lambda n, asked: (500, {}, b"")
    code, _, err = ended(review(), capsys, to(server, "--all", "--yes"))
    assert code == 2 and "3 records in a row got no answer" in err and len(server.requests) <= 20


def test_a_model_that_stops_making_sense_is_not_paid_for_every_record(review, server, capsys):
    server.reply = lambda n, asked: server.good(asked) if n <= 2 else completion("no")
    triage = review()
    code, _, err = ended(triage, capsys, to(server, "--all", "--yes"))
    assert code == 2 and "10 records in a row got no answer" in err and "The 2 answers that had come are kept" in err
    assert len(suggested(triage.folder)) == 2 and len(server.requests) <= 2 + 3 * 11


def test_failures_among_answers_do_not_end_the_run(review, server, capsys):
    server.reply = lambda n, asked: (413, {}, b"") if n % 2 else server.good(asked)
    triage = review()
    code, out, err = ended(triage, capsys, to(server, "--all", "--yes", "--json"))
    assert code == 1 and len(one_object(out)["failed"]) == 15 and len(suggested(triage.folder)) == 15
    assert err.count("No suggestion for record") == 10 and "And none for 5 more" in err


def test_a_record_without_a_valid_answer_is_named_and_has_no_suggestion(review, server, capsys):
    triage = review()
    bad = "number6"  # record 7
    server.reply = lambda n, asked: completion("no idea") if bad in asked else server.good(asked)
    code, out, err = ended(triage, capsys, to(server, "--top", 5, "--yes", "--json"))
    told = one_object(out)
    assert code == 1 and told["failed"] == [
        {"record_id": 7, "why": "no valid answer in 3 attempts: it is not one JSON object"}
    ]
    assert "No suggestion for record 7" in err and told["suggestions"] == 4 and 7 not in suggested(triage.folder)
    again = [body["messages"] for _, _, body in server.requests if bad in asked_about(body)]
    assert [len(messages) for messages in again] == [2, 4, 4] and "not accepted: it is not one JSON" in again[1][3][
        "content"
    ]
    server.reply = lambda n, asked: server.good(asked)
    count = len(server.requests)
    triage(*to(server, "--top", 5, "--yes"))
    assert len(server.requests) == count + 1 and len(suggested(triage.folder)) == 5


def test_an_answer_that_was_cut_off_says_how_to_get_more(review, server, capsys):
    _, headers, body = completion('{"rationale": "very')
    body["choices"][0]["finish_reason"] = "length"
    server.reply = lambda n, asked: (200, headers, body)
    code, _, err = ended(review(2), capsys, to(server, "--record", 1, "--yes", "--max-tokens", 50))
    assert code == 1 and "cut off after 50 tokens (give more with --max-tokens)" in err
    assert server.requests[0][2]["max_tokens"] == 50


# -- servers that take less -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, error",
    [
        ("response_format", {"error": {"message": "not supported"}}),
        ("response_format", {"error": "json_schema: unknown"}),
        ("temperature", {"error": {"message": "Only the default (1) value is supported.", "param": "temperature"}}),
        ("seed", {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}),
        ("max_tokens", {"error": {"message": "Use 'max_completion_tokens' instead.", "param": "max_tokens"}}),
    ],
)
def test_what_a_server_does_not_take_is_left_out_from_then_on(review, server, name, error):
    triage = review()

    def reply(n, asked):
        return (400 if n % 2 else 422, {}, error) if name in server.requests[-1][2] else server.good(asked)

    server.reply = reply
    told = triage.json(*to(server, "--top", 4, "--yes"))
    assert told["suggestions"] == 4 and len(server.requests) == 5 and told["warnings"]
    bodies = [body for _, _, body in server.requests]
    assert [name in body for body in bodies] == [True, *[False] * 4]
    assert all(other in body for body in bodies for other in {"response_format", "temperature", "seed"} - {name})
    assert (name != "max_tokens") or all(body["max_completion_tokens"] == 1000 for body in bodies[1:])
    assert [known["without"] for known in declared(triage.folder)] == [name]


def test_a_model_without_a_system_role_gets_one_message(review, server):
    def reply(n, asked):
        first = server.requests[-1][2]["messages"][0]["role"]
        return (
            (400, {}, {"error": {"message": "System role not supported"}}) if first == "system" else server.good(asked)
        )

    server.reply = reply
    triage = review()
    triage(*to(server, "--top", 2, "--yes"))
    [message] = server.requests[-1][2]["messages"]
    assert message["role"] == "user" and message["content"].index("Peer support") < message["content"].index(
        "BEGIN RECORD"
    )
    assert len(suggested(triage.folder)) == 2


def test_a_request_that_is_refused_whatever_is_left_out_fails_alone(review, server, capsys):
    triage = review()

    def reply(n, asked):
        return (400, {}, {"error": {"message": "context is too long"}}) if "number6" in asked else server.good(asked)

    server.reply = reply
    code, _, err = ended(triage, capsys, to(server, "--top", 5, "--yes"))
    assert code == 1 and "context is too long" in err and len(suggested(triage.folder)) == 4
    assert all("response_format" in body for _, _, body in server.requests if "number6" not in asked_about(body))


# -- interruptions --------------------------------------------------------------------------------


def start(folder, server, *more):
    return subprocess.Popen(
        [sys.executable, "-m", "triage", *to(server, "--all", "--yes", *more)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_what_came_before_the_end_is_kept_and_only_the_rest_is_asked(review, server, number):
    if os.name == "nt":
        pytest.skip("there are no such signals on Windows")
    triage = review()
    triage("rank", "r.triage")
    enough = threading.Event()

    def reply(n, asked):
        if n > 12:
            enough.set()
            server.release.wait(60)
        return server.good(asked)

    server.reply = reply
    program = start(triage.folder, server, "--parallel", 2)
    try:
        assert enough.wait(60)
        time.sleep(0.3)  # for the answers on their way
        began = time.monotonic()
        program.send_signal(number)
        _, err = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number], err
    assert time.monotonic() - began < 4 and "Traceback" not in err
    if number != signal.SIGKILL:
        assert len(suggested(triage.folder)) == 12
    answered = set(server.titles[:12])
    assert len(answered) == 12
    server.release.set()
    server.reply = lambda n, asked: server.good(asked)
    before = len(server.requests)
    triage(*to(server, "--all", "--yes"))
    assert not answered & set(server.titles[before:]) and len(server.titles[before:]) == 18
    assert len(suggested(triage.folder)) == 30


def test_a_line_half_written_is_no_answer(tmp_path):
    asked = {"model": "m"}
    answer = Answer(Label.MAYBE, 0.5, "", "why", "v")
    kept = KeptAnswers(tmp_path, asked, ["CHILD"])
    kept.keep("one", answer)
    kept.keep("two", answer)
    content = kept.path.read_bytes().rstrip()
    kept.close()
    kept.path.write_bytes(content[:-9])
    kept = KeptAnswers(tmp_path, asked, ["CHILD"])
    assert kept.get("one") == answer and kept.get("two") is None
    kept.keep("three", answer)
    kept.close()
    kept = KeptAnswers(tmp_path, asked, ["CHILD"])
    assert kept.get("one") == kept.get("three") == answer and kept.get("two") is None
    kept.close()
    kept = KeptAnswers(tmp_path, {"model": "other"}, ["CHILD"])
    assert kept.get("one") is None
    kept.close()


def test_an_answer_after_the_end_is_written_to_no_other_file(tmp_path):
    kept = KeptAnswers(tmp_path, {"model": "m"}, [])
    kept.close()
    with (tmp_path / "other").open("wb") as other:  # gets the number of the file that was closed
        kept.keep("one", Answer(Label.MAYBE, 0.5, "", "why"))
        other.flush()
    kept.close()
    assert (tmp_path / "other").read_bytes() == b"" and kept.get("one") is None


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_sent(review, server, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRIAGE_CACHE", str(write(review(), "a file", "")))
    code, _, err = ended(None, capsys, to(server, "--record", 1, "--yes"))
    assert code == 2 and "TRIAGE_CACHE" in err and not server.requests
