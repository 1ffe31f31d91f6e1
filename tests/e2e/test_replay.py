"""Row E1: what would other settings have done with yesterday's calls?"""
import json
import os
import pathlib
import subprocess

import pytest

from backends import Echo, code_of
from gateway import BINARY, ROOT, TIMEOUT, run_command

GOLDEN = pathlib.Path(ROOT, "tests", "golden", "replay")
CLUSTER = """
listeners: [{address: $listen}]
clusters: {orders: {endpoints: ["$one", "$two"], breaker: {%s}}}
"""


def replay(config, *logs, status=0, **settings):
    done = run_command("replay", "-c", str(config), *map(str, logs), timeout=6 * TIMEOUT, **settings)
    assert done.returncode == status, done
    return done


def replay_json(config, *logs):
    return json.loads(replay(config, "--json", *logs).stdout)


# ---- a log of a gateway ----

def calls(gate, echo, count, code=None):
    for _ in range(count):
        code_of(lambda: echo.unary(b"", metadata=[("do-code", code)] if code else [], timeout=TIMEOUT))


def changed(gate, before, after):
    """The gateway's configuration with other words."""
    text = pathlib.Path(gate.file).read_text()
    assert before in text
    file = pathlib.Path(gate.folder, "other.yaml")
    file.write_text(text.replace(before, after))
    return file


def test_e1_other_settings_would_have_done_something_else(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 1000, failure_ratio: 100%}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    calls(gate, echo, 5)
    calls(gate, echo, 30, "UNAVAILABLE")
    calls(gate, echo, 5)
    gate.log_lines(40)
    assert gate.json("/events")["events"] == []
    same = replay(gate.file, gate.log).stdout
    assert "closed -> open" not in same and "40 calls with 40 attempts" in same

    other = changed(gate, "consecutive_failures: 1000", "consecutive_failures: 3")
    result = replay_json(other, gate.log)
    first, summary = result["changes"][0], result["summary"]
    assert (first["cluster"], first["endpoint"]) == ("orders", backend.address)
    assert (first["from"], first["to"], first["cause"]) == ("closed", "open", "consecutive_failures")
    assert first["observed"] == first["threshold"] in (3, 4)  # the base, times the factor of priority 1
    assert summary["calls"] == summary["attempts"] == 40
    assert summary["attempts_by_class"] == {"success": 10, "failure": 30, "overload": 0, "ignored": 0}
    assert summary["failures_avoided"] == 30 - first["observed"] and summary["healthy_refused"] == 5
    assert summary["refused"] == summary["failures_avoided"] + 5 and summary["refused_elsewhere"] == 0
    text = replay(other, gate.log).stdout
    assert "closed -> open" in text and "/t.Echo/Unary" in text and "consecutive_failures" in text
    assert "failures avoided" in text and f"{summary['failures_avoided']}  failures avoided" in text


def test_e1_the_same_settings_do_what_the_gateway_did(gateway, scripted):
    """The trips that replay finds are those that happened, with the same numbers."""
    from scripted import answering
    good, bad = scripted(answering(content=b"ok")), scripted(answering(content=b"half", code=14))
    gate = gateway(CLUSTER % "consecutive_failures: 4, open_for: 60s", one=good.address, two=bad.address)
    echo = Echo(gate.channel())
    calls(gate, echo, 200)
    gate.log_lines(200)
    keys = ("cluster", "endpoint", "method", "from", "to", "cause", "observed", "threshold", "severity")
    happened = [{key: one[key] for key in keys} for one in gate.json("/events")["events"]]
    result = replay_json(gate.file, gate.log)
    found = [{key: one[key] for key in keys} for one in result["changes"]]
    assert happened and found == happened
    assert result["summary"]["refused"] == 0, "what went through then goes through now"


def test_calls_that_were_refused_then_are_told_apart(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 2, open_for: 60s}}}
""", backend=backend.address)
    calls(gate, Echo(gate.channel()), 10, "INTERNAL")
    gate.log_lines(10)
    summary = replay_json(gate.file, gate.log)["summary"]
    assert summary["refused_then"] >= 6 and summary["attempts"] + summary["refused_then"] == 10
    assert "refused by breakers when the log was written" in replay(gate.file, gate.log).stdout


def test_the_log_has_what_replay_needs(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: orders, priority: 2, weight: 7}]
clusters: {orders: {endpoints: [$backend]}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    calls(gate, echo, 1)
    calls(gate, echo, 1, "INTERNAL")
    first, second = gate.log_lines(2)
    assert (first["priority"], first["weight"]) == (2, 7)
    assert first["end_us"] < second["end_us"]
    attempt = first["attempts"][0]
    assert (attempt["endpoint"], attempt["code"], attempt["class"]) == (backend.address, "OK", "success")
    assert attempt["source"] == "upstream_trailers" and attempt["phase"] == "done"
    assert 0 <= attempt["start_us"] <= attempt["start_us"] + attempt["duration_us"] <= first["duration_ms"] * 1000 + 1
    assert 0 < attempt["first_message_us"] <= attempt["duration_us"] and attempt["messages_down"] == 1
    assert second["attempts"][0]["class"] == "failure"


def test_the_log_has_every_attempt_of_a_call(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: orders, retry: {attempts: 3, on: [UNAVAILABLE], idempotent: true, backoff: {initial: 5ms}}}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 1000, failure_ratio: 100%}}}
""", backend=backend.address)
    calls(gate, Echo(gate.channel()), 2, "UNAVAILABLE")
    for logged in gate.log_lines(2):
        attempts = logged["attempts"]
        assert [one["code"] for one in attempts] == ["UNAVAILABLE"] * 3 and logged["attempt"] == 3
        for before, after in zip(attempts, attempts[1:]):
            assert before["start_us"] + before["duration_us"] <= after["start_us"]
        assert attempts[-1]["start_us"] + attempts[-1]["duration_us"] <= logged["duration_ms"] * 1000 + 1
    other = changed(gate, "consecutive_failures: 1000", "consecutive_failures: 2")
    summary = replay_json(other, gate.log)["summary"]
    assert (summary["calls"], summary["attempts"], summary["failures_avoided"]) == (2, 6, 4)


# ---- a recorded log ----

def test_the_table_of_a_recorded_log():
    """FUSEGATE_GOLDEN=write writes down what comes out, to be looked at."""
    text = subprocess.run([BINARY, "replay", "-c", "gateway.yaml", "access.log"], cwd=GOLDEN, capture_output=True, text=True,
                          check=True, timeout=6 * TIMEOUT).stdout
    if os.environ.get("FUSEGATE_GOLDEN") == "write":
        (GOLDEN / "expected.txt").write_text(text)
    assert text == (GOLDEN / "expected.txt").read_text()


def test_a_replay_is_the_same_each_time(tmp_path):
    """From a file, standard input, or in pieces."""
    log = (GOLDEN / "access.log").read_text()
    config = GOLDEN / "gateway.yaml"
    expected = replay(config, "--json", GOLDEN / "access.log").stdout
    for _ in range(3):
        assert replay(config, "--json", GOLDEN / "access.log").stdout == expected
    done = subprocess.run([BINARY, "replay", "--json", "-c", str(config), "-"], input=log, capture_output=True, text=True,
                          timeout=6 * TIMEOUT)
    assert (done.returncode, done.stdout) == (0, expected)
    lines = log.splitlines(keepends=True)
    pieces = [tmp_path / "access.log.2", tmp_path / "access.log.1", tmp_path / "access.log"]
    for piece, begin, end in zip(pieces, (0, 100, 200), (100, 200, len(lines))):
        piece.write_text("".join(lines[begin:end]))
    assert replay(config, "--json", *pieces).stdout == expected


def test_the_order_of_the_lines_does_not_matter(tmp_path):
    lines = (GOLDEN / "access.log").read_text().splitlines()[:-1]
    shuffled = tmp_path / "shuffled.log"
    shuffled.write_text("\n".join(lines[7:] + lines[:7][::-1]) + "\n")
    whole = tmp_path / "whole.log"
    whole.write_text("\n".join(lines) + "\n")
    assert replay(GOLDEN / "gateway.yaml", shuffled).stdout == replay(GOLDEN / "gateway.yaml", whole).stdout


# ---- what is no log ----

def line(**fields):
    return json.dumps({"method": "/s/M", "cluster": "orders", "code": "OK", "duration_ms": 1.5, **fields}) + "\n"


CALL = line(end_us=5000, attempts=[{"endpoint": "10.0.0.1:50051", "code": "OK", "source": "upstream_trailers",
                                    "phase": "done", "start_us": 0, "duration_us": 1000}])


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "gateway.yaml"
    file.write_text("listeners: [{address: 127.0.0.1:8080}]\nclusters: {orders: {endpoints: [10.0.0.1:50051]}}\n")
    return file


@pytest.mark.parametrize("text, said", [
    (CALL + CALL[:50], "1 line is cut off or no JSON: skipped"),
    (CALL + "\n\n\r\n" + CALL.replace("\n", "\r\n"), "2 calls with 2 attempts"),
    (CALL + line() + line(), "2 lines have no attempts, they are of an older version of fusegate: skipped"),
    (CALL + '{"level": "info"}\n', "1 line is JSON, but no call: skipped"),
    (CALL + CALL.replace('"orders"', '"gone"'), "cluster gone is not in the configuration: 1 attempt skipped"),
    (CALL + "\0\xff\x1b[2J\n" * 3, "3 lines are cut off or no JSON: skipped"),
    (CALL + "x" * 3_000_000 + "\n" + CALL, "1 line is cut off or no JSON: skipped"),
    (CALL.replace("}\n", ', "novel": {"a": [1]}}\n'), "1 call with 1 attempt"),
    ("", "0 calls with 0 attempts"),
], ids=["cut", "blank", "old", "other", "gone", "binary", "long", "novel", "empty"])
def test_what_cannot_be_replayed_is_counted(config, tmp_path, text, said):
    log = tmp_path / "access.log"
    log.write_text(text, encoding="latin-1")
    done = replay(config, log)
    assert said in done.stdout and done.stderr == "", done
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("text, said", [
    (line() * 3, "older version of fusegate"), ("GET / 200\n" * 3, "is this an access log of fusegate?"),
], ids=["old", "foreign"])
def test_a_log_without_any_call_is_an_error(config, tmp_path, text, said):
    log = tmp_path / "access.log"
    log.write_text(text)
    assert said in replay(config, log, status=1).stderr


def test_files_that_are_not_there(config, tmp_path):
    done = replay(config, tmp_path / "nothing.log", status=1)
    assert "nothing.log cannot be opened: No such file" in done.stderr
    assert "cannot be read: Is a directory" in replay(config, tmp_path, status=1).stderr
    assert "no.yaml" in replay(tmp_path / "no.yaml", "x", status=3).stderr


def test_a_bad_configuration_is_said_with_its_line(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("listeners: [{address: 127.0.0.1:8080}]\nclusters: {c: {endpoints: [a:1], breaker: {windw: 5s}}}\n")
    done = replay(file, "-", status=3)
    assert "bad.yaml:2:" in done.stderr and "window" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("arguments", [[], ["-c", "x"], ["log"], ["-c"], ["-c", "x", "--window", "5", "log"],
                                       ["-c", "x", "--window=48h", "log"], ["-c", "x", "--jsn", "log"]])
def test_wrong_command_lines(arguments):
    done = run_command("replay", *arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr
