"""Why calls are refused: /breakers, /events, the error log, and the commands that ask a running gateway."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from backends import Echo, code_of
from gateway import BINARY, SCALE, TIMEOUT, accepts, free_port, run_command, wait_for
from scripted import answering
from wire import Client

BY_CLASS = """
listeners: [{address: $listen}]
routes:
- {match: {method: t.Echo/ClientStream}, cluster: orders, priority: 2}
- {cluster: orders}
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 5, open_for: 60s}}}
"""
ONE = """
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 2, open_for: 60s}}}
"""


def ask(gate, *arguments):
    return run_command(*arguments, "--admin", gate.admin)


def output_of(gate, *arguments):
    done = ask(gate, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def trip(echo, calls=4):
    for _ in range(calls):
        assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "INTERNAL")], timeout=TIMEOUT)).name != "OK"


@pytest.fixture
def tripped(gateway, backend):
    """A gateway whose only breaker of t.Echo/Unary is open for long; t.Echo/ClientStream passes."""
    gate = gateway(ONE, backend=backend.address)
    echo = Echo(gate.channel())
    assert echo.client_stream(iter([b"x"]), timeout=TIMEOUT) == b"1"
    trip(echo)
    gate.backend = backend.address
    return gate


# ---- explain ----

def test_explain_says_who_is_refused_and_why(tripped):
    text = output_of(tripped, "explain", "t.Echo/Unary")
    first = text.splitlines()[0]
    assert re.match(rf"t\.Echo/Unary on {tripped.backend} \(cluster orders\) is refused", first), text
    assert re.search(r": 2 failures in a row \(threshold 2\) .* ago; next probe in (5\d(\.\d)? s|1 min 0 s)", first), first
    outcomes = re.findall(r"^  INTERNAL +upstream_trailers(?:_only)? +failure", text, re.M)
    assert len(outcomes) >= 2, text
    assert f"All methods on {tripped.backend} (cluster orders)" in text


def test_explain_takes_the_last_part_of_a_method_and_an_endpoint(tripped):
    assert output_of(tripped, "explain", "Unary", tripped.backend).startswith("t.Echo/Unary on")
    assert output_of(tripped, "explain", "/t.Echo/Unary").startswith("t.Echo/Unary on")
    assert output_of(tripped, "explain", "t.Echo/ClientStream").startswith(
        f"t.Echo/ClientStream on {tripped.backend} (cluster orders) passes: closed")


def test_explain_as_json_has_everything(tripped):
    circuits = json.loads(output_of(tripped, "explain", "t.Echo/Unary", "--json"))
    method = next(one for one in circuits if one["method"] and one["endpoint"])
    assert (method["cluster"], method["endpoint"], method["method"]) == ("orders", tripped.backend, "/t.Echo/Unary")
    assert (method["state"], method["cause"], method["observed"]) == ("open", "consecutive_failures", 2)
    assert [row["consecutive_failures"] for row in method["thresholds"]] == [2]
    assert method["refused"] >= 1 and 0 < method["retry_in_ms"] <= 60000
    assert {one["code"] for one in method["outcomes"]} == {"INTERNAL"}
    assert all(0 <= one["age_ms"] < 1000 * TIMEOUT for one in method["outcomes"])


def test_explain_tells_the_classes_apart(gateway, backend):
    """5 failures in a row open the breaker for priority 0, 7 for priority 1, 8 for priority 2."""
    gate = gateway(BY_CLASS, backend=backend.address)
    trip(Echo(gate.channel()), 9)
    circuits = json.loads(output_of(gate, "explain", "t.Echo/Unary", "--json"))
    rows = next(one for one in circuits if one["method"] and one["endpoint"])["thresholds"]
    assert [(row["priority"], row["factor"]) for row in rows] == [(0, 1000), (1, 1300), (2, 1600)]
    assert [row["consecutive_failures"] for row in rows] == [5, 7, 8]
    assert [row["refused"] for row in rows] == [True, True, False]
    text = output_of(gate, "explain", "t.Echo/Unary")
    assert "is refused for priority 0 and 1, while priority 2 goes on: 7 failures in a row (threshold 7 for priority 1)" \
        in text
    assert re.search(r"^  failures in a row +5 +7 +8$", text, re.M), text
    assert "factor <= 1.4" in output_of(gate, "events")


def test_explain_of_an_unknown_method_names_the_nearest(tripped):
    done = ask(tripped, "explain", "t.Echo/Unray")
    assert done.returncode == 1 and done.stdout == ""
    assert "no circuit of method t.Echo/Unray" in done.stderr and "did you mean t.Echo/Unary?" in done.stderr
    done = ask(tripped, "explain", "completely.Different/Thing")
    assert "methods that were called:" in done.stderr and "  t.Echo/Unary\n" in done.stderr
    done = ask(tripped, "explain", "t.Echo/Unary", "10.9.9.9:1")
    assert done.returncode == 1 and "was not called on endpoint 10.9.9.9:1" in done.stderr
    assert f"  {tripped.backend}\n" in done.stderr
    done = ask(tripped, "explain", "t.Echo/Unary", "--cluster", "nothing")
    assert done.returncode == 1 and "in cluster nothing" in done.stderr


# ---- breakers ----

def test_breakers_are_listed_and_chosen(tripped):
    everything = tripped.json("/breakers")
    assert everything["left_out"] == 0
    names = [(one["cluster"], one["endpoint"], one["method"]) for one in everything["breakers"]]
    assert names == sorted(names) and ("orders", tripped.backend, "/t.Echo/Unary") in names

    def chosen(query):
        return [one["method"] for one in tripped.json("/breakers?" + query)["breakers"] if one["endpoint"]]

    assert chosen("method=t.Echo/Unary") == chosen("method=%2Ft.Echo%2FUnary") == ["/t.Echo/Unary"]
    assert "/t.Echo/Unary" in chosen("state=open") and "/t.Echo/ClientStream" not in chosen("state=open")
    assert "/t.Echo/ClientStream" in chosen("state=closed") and "/t.Echo/Unary" not in chosen("state=closed")
    assert "/t.Echo/Unary" in chosen(f"endpoint={tripped.backend}&cluster=orders")
    assert chosen("cluster=other") == chosen("endpoint=other") == chosen("method=other") == []
    limited = tripped.json("/breakers?limit=1")
    assert len(limited["breakers"]) == 1 and limited["left_out"] == len(names) - 1


def test_one_breaker_says_everything(tripped):
    one = tripped.json(f"/breakers/orders/{tripped.backend}?method=t.Echo/Unary")
    assert one["window"]["ms"] == 10000 and one["enabled"] is True and one["half_open_calls"] == 3
    assert one["thresholds"][0]["refused"] is True and one["severity"] >= one["factor"]
    whole = tripped.json(f"/breakers/orders/{tripped.backend}")
    assert whole["method"] == "" and whole["calls"] + whole["trips"] >= 1


@pytest.mark.parametrize("path, status", [
    ("/breakers?state=ajar", 400), ("/breakers?limit=many", 400), ("/breakers?method=%zz", 400),
    ("/breakers?method=" + "x" * 600, 400), ("/breakers/", 400), ("/breakers/orders", 400),
    ("/breakers/orders/10.0.0.1:1", 404), ("/breakers/none/$backend", 404), ("/breakers/orders/$backend?method=a/B", 404),
    ("/breakers/%/x", 400), ("/events?since=x", 400), ("/events?follow=2", 400), ("/streams?limit=-1", 400),
    ("/breakersx", 404),
])
def test_bad_questions_are_answered(tripped, path, status):
    assert tripped.get(path.replace("$backend", tripped.backend))[0] == status


def test_breakers_command(tripped):
    text = output_of(tripped, "breakers")
    row = next(line for line in text.splitlines() if "/t.Echo/Unary" in line and tripped.backend in line)
    assert re.match(rf"orders +{tripped.backend} +/t.Echo/Unary +open +\S+ m?s +consecutive_failures", row), text
    assert "/t.Echo/ClientStream" not in output_of(tripped, "breakers", "--state", "open")
    assert "no such circuits" in output_of(tripped, "breakers", "--cluster", "other")
    assert "and " in output_of(tripped, "breakers", "--limit", "1")
    assert json.loads(output_of(tripped, "breakers", "--json", "--state=open"))["breakers"]
    done = ask(tripped, "breakers", "--state", "ajar")
    assert done.returncode == 1 and "state=closed|open|half_open" in done.stderr


def test_strange_method_names_are_shown_harmlessly(gateway, backend):
    """Quotes, backslashes, escape sequences, bytes that are no UTF-8: valid JSON, and nothing for the terminal."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 1, open_for: 60s}}}
""", backend=backend.address)
    client = Client(gate)
    paths = ['/a"b\\c/d', "/ä/€", "/%1b/[2J"]
    for i, path in enumerate(paths):
        client.until_end(client.start(path, end=True))
        wait_for("it has ended", lambda: gate.metric("calls_ended_total") == i + 1)
    shown = {one["method"].encode("latin-1").decode() for one in gate.json("/breakers")["breakers"]}
    assert set(paths) <= shown
    for path in paths:
        assert path[1:] in output_of(gate, "explain", path)
    text = output_of(gate, "breakers") + output_of(gate, "events") + gate.errors()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)


# ---- events ----

def seen_events(gate, since=0):
    return gate.json(f"/events?since={since}")["events"]


def test_events_tell_the_changes_in_order(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$backend], breaker: {consecutive_failures: 2, open_for: 100ms, half_open_calls: 1}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    assert gate.json("/events") == {"events": [], "next": 0, "lost": 0}
    assert "no breaker has changed" in output_of(gate, "events")
    trip(echo)
    wait_for("the breaker closes again", lambda: code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "OK",
             5 * SCALE)
    events = [one for one in seen_events(gate) if one["method"] == "/t.Echo/Unary" and one["from"] != one["to"]]
    assert [one["seq"] for one in events] == sorted(one["seq"] for one in events)
    changes = [(one["from"], one["to"]) for one in events]
    assert changes[0] == ("closed", "open") and changes[-1] == ("half_open", "closed"), changes
    assert all(before[1] == after[0] for before, after in zip(changes, changes[1:])), changes
    first = events[0]
    assert (first["cluster"], first["endpoint"], first["cause"]) == ("orders", backend.address, "consecutive_failures")
    assert first["observed"] >= first["threshold"] > 0
    assert abs(time.time() - time.mktime(time.strptime(first["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60
    later = gate.json(f"/events?since={events[-1]['seq']}")
    assert [one["seq"] for one in later["events"]][0] == events[-1]["seq"]
    assert later["next"] == later["events"][-1]["seq"] + 1
    text = output_of(gate, "events")
    assert "closed -> open" in text and "half_open -> closed" in text and "consecutive_failures" in text
    since = output_of(gate, "events", "--since", str(events[-1]["seq"]))
    assert "half_open -> closed" in since and "closed -> open" not in since


class Follower:
    """Reads /events?follow=1 in a thread."""

    def __init__(self, gate, since=0):
        host, port = gate.admin.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
        self.connection.request("GET", f"/events?follow=1&since={since}")
        self.answer = self.connection.getresponse()
        self.events = []
        if self.answer.status == 200:
            self.sock = self.connection.sock or self.answer.fp.raw._sock
            threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            while line := self.answer.readline():
                if line.strip():
                    self.events.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def test_events_are_followed(gateway, backend):
    gate = gateway(ONE, backend=backend.address)
    early = Follower(gate)
    assert early.answer.status == 200 and early.answer.getheader("content-type") == "application/x-ndjson"
    trip(Echo(gate.channel()))
    wait_for("the change is told", lambda: any(one["to"] == "open" for one in early.events))
    late = Follower(gate, since=early.events[0]["seq"])
    wait_for("what was kept is told, too", lambda: late.events and late.events[0] == early.events[0])
    early.close()
    late.close()


def test_followers_are_bounded_and_let_go_of(gateway, backend):
    gate = gateway(ONE, backend=backend.address)
    followers = [Follower(gate) for _ in range(8)]
    assert [one.answer.status for one in followers] == [200] * 8
    assert Follower(gate).answer.status == 503
    assert gate.get("/healthz")[0] == 200
    followers[0].close()

    def another():
        followers.append(Follower(gate))
        return followers[-1].answer.status == 200

    wait_for("a place is free again", another)
    trip(Echo(gate.channel()))
    for one in followers[1:8]:
        wait_for("everyone hears of it", lambda: one.events)
        one.close()


def test_a_follower_ends_with_the_gateway(gateway, backend):
    gate = gateway(ONE, backend=backend.address)
    follower = subprocess.Popen([BINARY, "events", "--follow", "--admin", gate.admin], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
    try:
        assert "no breaker has changed" in follower.stdout.readline()
        trip(Echo(gate.channel()))
        assert follower.stdout.readline().split()[:2] == ["SEQ", "TIME"]
        assert "closed -> open" in follower.stdout.readline()
        gate.close_clients()
        gate.assert_rest()
        gate.stop()
        assert follower.wait(TIMEOUT) == 1
        assert "has the gateway ended?" in follower.stderr.read()
    finally:
        follower.kill()
        follower.communicate()


def test_changes_stand_in_the_error_log(tripped):
    line = wait_for("the line", lambda: re.search(r".* info breaker of cluster orders, .*", tripped.errors()))[0]
    assert re.search(rf"endpoint {tripped.backend}, method /t.Echo/Unary: closed -> open \d+ ms ago: "
                     r"consecutive_failures \d, threshold \d; .* refused", line), line


def test_a_flood_of_changes_does_not_flood_the_error_log(gateway, scripted):
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$bad], breaker: {consecutive_failures: 1, failure_ratio: 100%, minimum_calls: 100000,
                                            open_for: 60s}}}
""", bad=bad.address)
    client = Client(gate)
    for i in range(0, 200, 20):
        client.until_end(*(client.start(f"/t.Many/M{k}", end=True) for k in range(i, i + 20)))
    changes = wait_for("changes", lambda: gate.json("/events")["next"])
    time.sleep(0.6)
    said = gate.errors().count("breaker of cluster")
    assert said <= 20 + 5 * 3 and said <= changes


# ---- streams, clusters ----

def test_streams_and_clusters_are_shown(plain, backend):
    assert "no calls are in progress" in output_of(plain, "streams")
    call = Echo(plain.channel()).unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
    backend.wait_seen()
    wait_for("it is shown", lambda: "peer_headers" in output_of(plain, "streams"))
    text = output_of(plain, "streams", "--limit", "5")
    assert re.search(rf"^0-\d+ +/t.Echo/Unary +{backend.address} +127\.0\.0\.1:\d+ +sent +1 ", text, re.M), text
    assert json.loads(output_of(plain, "streams", "--json"))["complete"] is True
    text = output_of(plain, "clusters")
    assert re.search(rf"^c +{backend.address} +closed ", text, re.M), text
    call.cancel()


# ---- whom to ask ----

def test_no_gateway_is_said_so():
    address = f"127.0.0.1:{free_port()}"
    for command in (["explain", "a/B"], ["breakers"], ["events"], ["events", "--follow"], ["streams"], ["clusters"]):
        done = run_command(*command, "--admin", address)
        assert done.returncode == 1 and done.stdout == "", done
        assert f"{address}: no gateway answers: Connection refused" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "", "unix:/does/not/exist"])
def test_an_address_that_is_none_is_said_so(address):
    done = run_command("streams", "--admin", address)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("fusegate streams: "), done


@pytest.mark.parametrize("answer, said", [
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "is no gateway's admin address"),
    (b"", "closed without an answer"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", "the connection ended before the answer did"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "no JSON"),
    (b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\nhello", "older version"),
    (b"HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\nhello", "hello"),
])
def test_what_answers_may_be_something_else(answer, said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve():
            sock, _ = server.accept()
            sock.recv(4096)
            sock.sendall(answer)
            sock.close()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = run_command("breakers", "--admin", "127.0.0.1:%d" % server.getsockname()[1])
        thread.join(TIMEOUT)
    assert done.returncode == 1 and done.stdout == "" and said in done.stderr, done


@pytest.fixture
def guarded(tmp_path, backend):
    """start(ADMIN) runs a gateway whose admin address asks for a token; `gateway` would ask it without."""
    running = []

    def start(admin):
        listen, file = f"127.0.0.1:{free_port()}", tmp_path / "gateway.yaml"
        file.write_text(f"listeners: [{{address: {listen}}}]\nworkers: 1\naccess_log: {{path: \"off\"}}\n"
                        f"clusters: {{c: {{endpoints: [\"{backend.address}\"]}}}}\n"
                        f"admin: {{address: \"{admin}\", token: open-sesame}}\n")
        running.append(subprocess.Popen([BINARY, "run", "-c", str(file)], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL))
        wait_for("the gateway listens", lambda: accepts(listen))

    yield start
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0


def run_with(environment, *arguments):
    return subprocess.run([BINARY, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT, env={**os.environ, **environment})


@pytest.mark.parametrize("where", ["tcp", "unix"])
def test_a_token_is_asked_for(guarded, tmp_path, where):
    admin = f"127.0.0.1:{free_port()}" if where == "tcp" else f"unix:{tmp_path}/admin.sock"
    guarded(admin)
    done = run_command("streams", "--admin", admin)
    assert done.returncode == 1 and "the gateway asks for a token" in done.stderr
    done = run_command("streams", "--admin", admin, "--token", "wrong")
    assert done.returncode == 1 and "the gateway takes another token" in done.stderr and "wrong" not in done.stderr
    done = run_command("events", "--follow", "--admin", admin, "--token", "wrong")
    assert done.returncode == 1 and "another token" in done.stderr
    done = run_command("streams", "--admin", admin, "--token", "a\nb: c")
    assert done.returncode == 1 and "visible ASCII" in done.stderr
    for done in (run_command("streams", "--admin", admin, "--token", "open-sesame"),
                 run_with({"FUSEGATE_ADMIN": admin, "FUSEGATE_TOKEN": "open-sesame"}, "streams"),
                 run_with({"FUSEGATE_ADMIN": "127.0.0.1:1", "FUSEGATE_TOKEN": "wrong"}, "streams", "--token=open-sesame",
                          "--admin=" + admin)):
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "no calls are in progress\n")


@pytest.mark.parametrize("command", ["explain", "breakers", "events", "streams", "clusters", "replay"])
def test_commands_explain_themselves(command):
    done = run_command(command, "--help")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(f"usage: fusegate {command}")
    done = run_command(command, "--frobnicate")
    assert done.returncode == 2 and f"fusegate {command}: unknown option --frobnicate" in done.stderr
    assert f"  fusegate {command} " in run_command("--help").stdout
