"""What a running gateway tells: row D1 (which stream is blocked, and on what), clusters, metrics, health, the log."""
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from backends import Echo, code_of
from gateway import SCALE, TIMEOUT, run_command, wait_for
from scripted import answering, requests
from wire import DATA, END_STREAM, HEADERS, INITIAL_WINDOW, MAX_STREAMS, RST_STREAM, Client, frame, message, settings, window_update

PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
"""


def blocked(gate, cause):
    """The one call in progress, once it waits for CAUSE."""
    def look():
        streams = gate.json("/streams")
        assert streams["complete"] is True
        return next((one for one in streams["streams"] if one["wait"]["cause"] == cause), None)
    return wait_for(f"a stream waits for {cause}", look)


def download(gate, *pairs):
    """A client that asks for 10 MB and then gives no window."""
    client = Client(gate, *pairs)
    client.answer_windows = False
    stream = client.start("/t.Echo/ServerStream", ("do-count", "100"), ("do-size", "100000"))
    client.send(frame(DATA, END_STREAM, stream, message(b"")))
    client.until_kind(HEADERS)
    return client, stream


def test_d1_client_that_stops_reading_its_stream(plain):
    client, stream = download(plain)
    client.send(window_update(0, 1 << 20))
    seen = blocked(plain, "stream_window")
    assert seen["method"] == "/t.Echo/ServerStream" and seen["cluster"] == "c"
    assert seen["downstream"]["stream"] == stream
    assert seen["downstream"]["peer"] == "127.0.0.1:%d" % client.sock.getsockname()[1]
    assert seen["bytes_down"] >= 65535 and seen["phase"] == "messages"
    assert 0 <= seen["wait"]["age_ms"] <= seen["age_ms"]
    age = seen["wait"]["age_ms"]
    wait_for("the wait grows", lambda: blocked(plain, "stream_window")["wait"]["age_ms"] > age + 100)


def test_d1_client_that_uses_up_its_connection_window(plain):
    download(plain, (INITIAL_WINDOW, 1 << 20))
    blocked(plain, "connection_window")


def test_d1_client_whose_socket_is_full(plain):
    client = Client(plain, (INITIAL_WINDOW, 1 << 30))
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.send(window_update(0, 1 << 30))
    stream = client.start("/t.Echo/ServerStream", ("do-count", "1000"), ("do-size", "100000"))
    client.send(frame(DATA, END_STREAM, stream, message(b"")))
    blocked(plain, "socket")


def test_d1_endpoint_that_does_not_answer(plain, backend):
    call = Echo(plain.channel()).unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
    backend.wait_seen()
    seen = blocked(plain, "peer_headers")
    assert seen["endpoint"] == backend.address and 0 < seen["deadline_in_ms"] <= TIMEOUT * 1100  # grpcio rounds up
    call.cancel()


def test_d1_endpoint_that_sends_no_more(plain, backend):
    answer = Echo(plain.channel()).server_stream(b"", metadata=[("do-stay", "1")], timeout=TIMEOUT)
    assert next(answer) == b"0"
    assert blocked(plain, "peer_data")["messages_down"] == 1
    answer.cancel()


def test_d1_endpoint_without_a_stream_slot(gateway, scripted):
    release = threading.Event()

    def script(wire, _):
        wire.send(settings((MAX_STREAMS, 1)))
        for stream, _, _ in requests(wire):
            release.wait(TIMEOUT)
            wire.send(wire.answer(stream))

    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {connections: 1}}}
""", service=scripted(script).address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(2)]
    seen = blocked(gate, "stream_slot")
    assert seen["phase"] in ("new", "queued") and seen["upstream"] is None
    release.set()
    assert [call.result() for call in calls] == [b"", b""]


def test_d1_endpoint_that_gives_no_window(gateway, scripted):
    def script(wire, _):
        wire.answer_windows = False
        wire.send(settings((INITIAL_WINDOW, 1000)))
        wire.until_closed()

    gate = gateway(PLAIN, service=scripted(script).address)
    call = Echo(gate.channel()).unary.future(b"x" * 100_000, timeout=TIMEOUT)
    seen = blocked(gate, "stream_window")
    assert seen["upstream"]["stream"] == 1
    call.cancel()


def test_clusters_show_load_and_breakers(gateway, scripted):
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [{address: $bad, weight: 3}], breaker: {consecutive_failures: 2, open_for: 60s}}}
""", bad=bad.address)
    echo = Echo(gate.channel())
    endpoint = gate.json("/clusters")["clusters"][0]["endpoints"][0]
    assert (endpoint["address"], endpoint["weight"], endpoint["breaker"]["state"]) == (bad.address, 3, "closed")
    for _ in range(3):
        assert code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "UNAVAILABLE"
    answer = gate.json("/clusters")
    assert answer["complete"] is True and answer["clusters"][0]["name"] == "orders"
    endpoint = answer["clusters"][0]["endpoints"][0]
    assert (endpoint["active"], endpoint["waiting"], endpoint["connections"]) == (0, 0, 1)
    breaker = endpoint["methods"]["/t.Echo/Unary"]
    assert (breaker["state"], breaker["trips"], breaker["refused"]) == ("open", 1, 1)
    assert (breaker["cause"], breaker["observed"], breaker["threshold"]) == ("consecutive_failures", 2, 2)
    assert 0 < breaker["retry_in_ms"] <= 60000


def test_metrics_add_up(plain, echo):
    for _ in range(7):
        echo.unary(b"12345", timeout=TIMEOUT)
    assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "NOT_FOUND")], timeout=TIMEOUT)).name == "NOT_FOUND"
    wait_for("all have ended", lambda: plain.metric("calls_ended_total") == 8)
    assert plain.metric("calls_total", method="/t.Echo/Unary", code="OK") == 7
    assert plain.metric("calls_total", method="/t.Echo/Unary", code="NOT_FOUND") == 1
    assert plain.metric("call_duration_seconds_count") == 8
    assert plain.metric("call_duration_seconds_bucket", le="+Inf") == 8
    assert plain.metric("attempts_started_total") == plain.metric("attempts_ended_total") == 8
    text = plain.get("/metrics")[1]
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert len(names) == text.count("# TYPE"), "each metric is described once"
    for (name, _) in plain.metrics():
        assert name in names or name.rsplit("_", 1)[0] in names, name


def test_methods_with_strange_names(plain):
    """Quotes, backslashes and bytes that are no UTF-8 break neither page."""
    client = Client(plain)
    for i, path in enumerate(('/a"b\\c/d', "/ä/€", "/" + "x" * 3000)):
        client.until_end(client.start(path, end=True))
        wait_for("it has ended", lambda: plain.metric("calls_ended_total") == i + 1)
    plain.metrics()
    plain.json("/clusters")
    assert len(plain.log_lines(3)) == 3


def test_many_methods_do_not_grow_the_page_for_ever(plain):
    client = Client(plain)
    for i in range(0, 1500, 50):
        streams = [client.start(f"/t.Many/M{k}", end=True) for k in range(i, i + 50)]
        client.until_end(*streams)
    wait_for("all have ended", lambda: plain.metric("calls_ended_total") == 1500)
    assert plain.metric("calls_total") == 1500
    methods = {dict(labels).get("method") for name, labels in plain.metrics() if name == "fusegate_calls_total"}
    assert len(methods) <= 1100


def test_health_and_unknown_paths(plain):
    assert plain.get("/healthz")[0] == 200 and plain.get("/readyz")[0] == 200
    assert plain.get("/nothing")[0] == 404


BAD_REQUESTS = {
    "wrong method": "POST /metrics HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
    "no request": "nonsense\r\n\r\n",
    "another protocol": "GET / nonsense/1.1\r\n\r\n",
    "too large": "GET /metrics HTTP/1.1\r\n" + "x: y\r\n" * 20000 + "\r\n",
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_admin_survives_bad_requests(plain, name):
    text = BAD_REQUESTS[name]
    host, port = plain.admin.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        try:
            sock.sendall(text.encode())
            answer = sock.recv(1000)
        except ConnectionError:
            answer = b""
    assert not answer or answer.split()[1][:1] == b"4", answer
    assert plain.get("/healthz")[0] == 200


# ---- the access log ----

def test_log_line_has_the_outcome(plain, echo, backend):
    echo.unary(b"12345", timeout=TIMEOUT)
    code_of(lambda: echo.unary(b"", metadata=[("do-code", "INTERNAL")], timeout=TIMEOUT))
    first, second = plain.log_lines(2)
    assert first["method"] == "/t.Echo/Unary" and first["cluster"] == "c" and first["endpoint"] == backend.address
    assert (first["code"], first["source"], first["class"]) == ("OK", "upstream_trailers", "success")
    assert (first["phase"], first["http_status"], first["attempt"]) == ("done", 200, 1)
    assert (first["bytes_up"], first["bytes_down"], first["messages_up"], first["messages_down"]) == (10, 10, 1, 1)
    assert 0 <= first["headers_ms"] <= first["first_message_ms"] <= first["duration_ms"] < 1000 * TIMEOUT
    assert (second["code"], second["class"]) == ("INTERNAL", "failure")


def test_log_says_who_ended_a_call(plain, echo, backend):
    call = echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
    backend.wait_seen()
    call.cancel()
    line = plain.log_lines(1)[0]
    assert (line["code"], line["source"], line["class"]) == ("CANCELLED", "client_cancel", "ignored")
    code_of(lambda: echo.unary(b"", metadata=[("do-hang", "1")], timeout=0.1 * SCALE))
    line = plain.log_lines(2)[1]
    assert line["code"] in ("DEADLINE_EXCEEDED", "CANCELLED"), "the client's own timer may be first"


def test_log_says_what_a_call_waited_for(plain):
    client, stream = download(plain)
    client.send(window_update(0, 1 << 30))
    blocked(plain, "stream_window")
    wait_for("a long wait", lambda: blocked(plain, "stream_window")["wait"]["age_ms"] > 150)
    client.send(window_update(stream, 1 << 30))
    client.until_end(stream)
    line = plain.log_lines(1)[0]
    assert line["stalls_ms"]["stream_window"] >= 150 and line["code"] == "OK"


def test_sighup_opens_the_log_anew(plain, echo):
    echo.unary(b"", timeout=TIMEOUT)
    plain.log_lines(1)
    os.rename(plain.log, plain.log + ".1")
    plain.process.send_signal(signal.SIGHUP)
    wait_for("the new file", lambda: os.path.exists(plain.log))
    echo.unary(b"", timeout=TIMEOUT)
    assert len(plain.log_lines(1)) == 1


# ---- /streams: which, in what order, how many ----

def test_streams_are_filtered_sorted_and_paged(gateway, backend):
    gate = gateway("""
workers: 2
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    clients = []
    for i in range(4):
        client = Client(gate)
        clients.append(client)
        for k in range(5):
            stream = client.start("/t.Echo/Bidi" if i % 2 else "/t.Echo/ClientStream")
            for _ in range(5 * i + k):
                client.send(frame(DATA, 0, stream, message(b"x" * 10)))
    backend.wait_seen(20)
    peer = "127.0.0.1:%d" % clients[1].sock.getsockname()[1]

    def ask(query=""):
        answer = gate.json("/streams" + query)
        assert answer["complete"] is True and answer["total"] == 20
        return answer
    wait_for("all messages", lambda: sum(one["messages_up"] for one in ask()["streams"]) == sum(range(20)))
    for query, count in (("", 20), ("?method=t.Echo/Bidi", 10), ("?method=%2Ft.Echo/*", 20), ("?method=t.Echo/Bi*", 10), ("?method=*o/Bi*", 10),
                         ("?method=t.Echo", 0), ("?method=*bid*", 0), ("?method=**", 20), (f"?peer={peer}", 5), ("?peer=127.0.0.1:*", 20), ("?cluster=c", 20),
                         ("?cluster=d", 0), (f"?endpoint={backend.address}&method=t.Echo/Bidi", 10), ("?dialect=grpc", 20),
                         ("?dialect=rest", 0), ("?wait=stream_window", 0), ("?min_age_ms=3600000", 0), ("?phase=queued", 0)):
        answer = ask(query)
        assert len(answer["streams"]) == answer["matched"] == count, query
    ups = [one["messages_up"] for one in ask("?sort=messages")["streams"]]
    assert sorted(ups, reverse=True) == list(range(19, -1, -1))
    pages = [ask(f"?sort=age&limit=6&offset={offset}") for offset in (0, 6, 12, 18, 24)]
    assert [len(page["streams"]) for page in pages] == [6, 6, 6, 2, 0] and {page["matched"] for page in pages} == {20}
    seen = [(one["downstream"]["peer"], one["downstream"]["stream"]) for page in pages for one in page["streams"]]
    assert len(set(seen)) == 20
    ages = [one["age_ms"] for page in pages for one in page["streams"]]
    assert all(a >= b - 1000 for a, b in zip(ages, ages[1:]))


@pytest.mark.parametrize("query", ["wait=x", "phase=x", "sort=x", "limit=10001", "offset=10000&limit=1", "min_age_ms=x",
                                   "method=%zz", "method=" + "m" * 600, "method=a%00b"])
def test_streams_that_cannot_be_asked_for(plain, query):
    status, text = plain.get("/streams?" + query)
    assert status == 400 and len(text) > 10


def test_calls_that_end_while_they_are_looked_at(gateway, backend):
    """Some thousand calls begin and end all the time; every answer is whole, and nothing is told of what has gone."""
    gate = gateway(PLAIN, service=backend.address)
    over, rounds = threading.Event(), []

    def churn():
        client = Client(gate)
        while not over.is_set():
            for _ in range(50):
                stream = client.start("/t.Echo/Unary")
                client.send(frame(DATA, END_STREAM, stream, message(b"x")))
            assert all(one[2].get("grpc-status") == "0" for one in
                       client.until_end(*range(stream - 98, stream + 2, 2)).values())
            rounds.append(1)
    threads = [threading.Thread(target=churn) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        answer = gate.json("/streams?limit=20&sort=age")
        assert answer["complete"] is True and answer["matched"] <= answer["total"] and len(answer["streams"]) <= 20
    over.set()
    for thread in threads:
        thread.join()
    before = len(rounds)
    assert before > 3 and gate.metric("calls_total", code="OK") == 50 * before


# ---- how long calls have waited ----

def test_waits_are_counted_by_route_and_cause(gateway, backend):
    """Two calls at a time: of six that last for a fifth of a second each, four wait for room; and one client reads late."""
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: t.Echo/Unary}, cluster: c}, {match: {path_prefix: /t.}, cluster: c}]
clusters: {c: {endpoints: [$backend], limits: {streams: 2}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"x", metadata=[("do-sleep", "0.2")], timeout=TIMEOUT) for _ in range(6)]
    for call in calls:
        call.result()
    unary = {"route": "/t.Echo/Unary", "cause": "gate"}
    wait_for("all of them", lambda: gate.metric("calls_total", code="OK") == 6)
    assert gate.metric("call_wait_seconds_count", **unary) == 4
    assert 1.0 < gate.metric("call_wait_seconds_sum", **unary) < 2.4  # two for 0.2 s, two for 0.4 s
    assert gate.metric("call_wait_seconds_bucket", le="+Inf", **unary) == 4
    assert gate.metric("call_wait_seconds_bucket", le="0.1", **unary) == 0
    client, _ = download(gate)
    client.send(window_update(0, 1 << 20))
    blocked(gate, "stream_window")
    client.close()
    wait_for("it has been counted", lambda: gate.metric("call_wait_seconds_count", route="/t.*", cause="stream_window") == 1)


def test_the_page_is_what_prometheus_reads(gateway, backend):
    """promtool, which comes with Debian's prometheus, finds nothing to complain about."""
    gate = gateway(PLAIN, service=backend.address)
    echo = Echo(gate.channel())
    echo.unary(b"x", timeout=TIMEOUT)
    assert code_of(lambda: echo.unary(b"x", metadata=[("do-code", "NOT_FOUND")], timeout=TIMEOUT)).name == "NOT_FOUND"
    wait_for("both calls", lambda: gate.metric("calls_total") == 2)
    done = subprocess.run(["promtool", "check", "metrics"], input=gate.get("/metrics")[1].encode(), capture_output=True,
                          timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


# ---- ending a call ----

@pytest.fixture
def guarded(gateway, backend):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
admin: {address: $admin, token: s3cret}
""", backend=backend.address)


def kill(gate, stream, **more):
    return gate.get(f"/streams/kill?id={stream['id']}", "POST", **more)


def test_a_call_is_ended_with_a_status(guarded, backend):
    client = Client(guarded)
    for _ in range(3):
        client.start("/t.Echo/Bidi")
    backend.wait_seen(3)
    first, second, third = sorted(guarded.json("/streams")["streams"], key=lambda one: one["downstream"]["stream"])
    status, text = kill(guarded, second)
    assert status == 200 and json.loads(text)["id"] == second["id"]
    end = client.until_end(second["downstream"]["stream"])[second["downstream"]["stream"]][2]
    assert (end["grpc-status"], end["x-fusegate-origin"]) == ("1", "local_admin") and "operator" in end["grpc-message"]
    wait_for("it has gone", lambda: {one["id"] for one in guarded.json("/streams")["streams"]} == {first["id"], third["id"]})
    assert kill(guarded, second)[0] == 404
    assert "admin: ended call" in guarded.errors() and "/t.Echo/Bidi of 127.0.0.1" in guarded.errors()
    wait_for("the endpoint hears of it, and of no other", lambda: sum(one.ended.is_set() for one in backend.seen) == 1)
    done = run_command("streams", "--kill", first["id"], "--admin", guarded.admin, "--token", "s3cret")
    assert (done.returncode, done.stdout) == (0, f"call {first['id']} is ended\n"), done.stderr
    wait_for("it has gone", lambda: guarded.json("/streams")["total"] == 1)
    done = run_command("streams", "--kill", first["id"], "--admin", guarded.admin, "--token", "s3cret")
    assert done.returncode == 1 and "no such call" in done.stderr
    assert guarded.metric("calls_killed_total") == 2


def test_a_client_that_does_not_read_is_reset(guarded):
    client, stream = download(guarded)
    client.send(window_update(0, 1 << 20))
    seen = blocked(guarded, "stream_window")
    assert kill(guarded, seen)[0] == 200
    assert client.until_kind(RST_STREAM, stream).code == 8
    wait_for("it has gone", lambda: guarded.json("/streams")["total"] == 0)


def test_who_may_end_calls(guarded, plain):
    assert plain.get("/streams/kill?id=0-1", "POST")[0] == 403, "no token is configured"
    done = run_command("streams", "--kill", "0-1", "--admin", plain.admin)
    assert done.returncode == 1 and "admin.token" in done.stderr
    assert guarded.get("/streams/kill?id=0-1", "POST", token="wrong")[0] == 401
    assert guarded.get("/streams/kill?id=0-1", "GET")[0] == 405
    assert guarded.get("/streams", "POST")[0] == 405
    for bad in ("", "x", "0", "0-", "0-0", "0-x", "-1-1", "0-1x", "%00", "9" * 100):
        assert guarded.get(f"/streams/kill?id={bad}", "POST")[0] == 400, bad
    for none in ("0-1", "7-1", f"0-{2**64 - 1}"):
        assert guarded.get(f"/streams/kill?id={none}", "POST")[0] == 404, none
