"""What held calls up: long waits are kept with who held what was waited for, and every cause is told from the others."""

import json
import socket
import threading

import pytest

from backends import Echo
from gateway import TIMEOUT, run_command, wait_for
from scripted import requests
from wire import DATA, END_STREAM, HEADERS, INITIAL_WINDOW, MAX_STREAMS, Client, frame, message, settings, window_update

PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
"""


@pytest.fixture
def plain(gateway, backend):
    return gateway(PLAIN, service=backend.address)


def begin_download(client, size, *more):
    stream = client.start("/t.Echo/ServerStream", ("do-count", "1"), ("do-size", str(size)), *more)
    client.send(frame(DATA, END_STREAM, stream, message(b"")))
    client.until_kind(HEADERS, stream)
    return stream


def waits(gate, query=""):
    answer = gate.json("/trace" + query)
    assert answer["complete"] is True
    return answer["waits"]


def waiting(gate, cause):
    """The first wait for CAUSE that is long and not over."""
    return wait_for(f"a long wait for {cause}", lambda: next(
        (one for one in waits(gate, f"?cause={cause}") if not one["over"]), None))


def window_is_full(gate):
    """Two downloads take all of the connection's window, and a third one waits for it."""
    client = Client(gate, (INITIAL_WINDOW, 1 << 20))
    client.answer_windows = False
    first, second = begin_download(client, 30_000, ("do-stay", "1")), begin_download(client, 1 << 20)
    wait_for("the window is used up", lambda: any(
        one["wait"]["cause"] == "connection_window" for one in gate.json("/streams")["streams"]))
    third = client.start("/t.Echo/ServerStream", ("do-count", "1"), ("do-size", "1000"))
    client.send(frame(DATA, END_STREAM, third, message(b"")))
    return client, first, second, third


def test_d1_trace_names_who_holds_the_window(plain):
    """Row D1: a client that stops reading; the stream, the cause, the age and the holders of the window are named."""
    client, first, second, third = window_is_full(plain)
    seen = wait_for("the third one waits", lambda: next(
        (one for one in waits(plain, "?cause=connection_window") if one.get("stream") == third), None))
    assert seen["over"] is False and seen["lasted_ms"] >= 100 and seen["side"] == "downstream"
    assert {one["stream"] for one in seen["holders"]} == {first, second}
    assert 65_535 == sum(one["bytes"] for one in seen["holders"]) and seen["gone_bytes"] == 0
    calls = {one["downstream"]["stream"]: one for one in plain.json("/streams")["streams"]}
    assert {one["id"] for one in seen["holders"]} == {calls[first]["id"], calls[second]["id"]}
    assert {one["downstream"]["connection"] for one in calls.values()} == {seen["connection"]}
    assert {one["stream"] for one in calls[third]["wait"]["holders"]} == {first, second}
    done = run_command("trace", "--admin", plain.admin)
    assert done.returncode == 0 and "connection_window: the peer's flow control window of the connection" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "held by" in line)
    assert f"stream {first} (call {calls[first]['id']}, " in line and f"stream {second} (call " in line and "KiB" in line
    # It reads at last: the waits are over, and known.
    client.send(window_update(first, 1 << 20), window_update(second, 1 << 20), window_update(0, 1 << 20))
    client.until_end(third)
    over = wait_for("the waits are over", lambda: [one for one in waits(plain) if one["over"]])
    one = next(one for one in over if one["stream"] == third)
    assert one["cause"] == "connection_window" and {one["stream"] for one in one["holders"]} == {first, second}
    assert one["method"] == "/t.Echo/ServerStream" and one["peer"].startswith("127.0.0.1:")
    assert waits(plain, "?min_ms=3600000") == [] and waits(plain, "?cause=gate") == []
    done = run_command("trace", "--seconds", "0", "--json", "--admin", plain.admin)
    assert done.returncode == 0 and json.loads(done.stdout)["waits"] == [], "they ended before it was watched"


def test_d1_streams_name_the_cause_within_a_second(plain):
    window_is_full(plain)
    done = run_command("streams", "--wait", "connection_window", "--admin", plain.admin)
    assert done.returncode == 0 and done.stdout.count("connection_window") >= 2, done.stdout


def test_window_that_a_client_never_gave_back(plain):
    """A client forgets the window of a stream that has ended: nobody holds it, and that is said."""
    client = Client(plain, (INITIAL_WINDOW, 1 << 20))
    client.answer_windows = False
    first = begin_download(client, 65_530)
    client.until_end(first)
    second = begin_download(client, 1000)
    seen = waiting(plain, "connection_window")
    assert seen["stream"] == second and seen["holders"] == [] and seen["gone_bytes"] == 65_535
    assert "held by no stream that is open: 64 KiB" in run_command("trace", "--admin", plain.admin).stdout


def test_slots_are_held_by_streams(gateway, scripted):
    release = threading.Event()

    def script(wire, _):
        wire.send(settings((MAX_STREAMS, 2)))
        for stream, _, _ in requests(wire):
            release.wait(TIMEOUT)
            wire.send(wire.answer(stream))

    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {connections: 1}}}
""", service=scripted(script).address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(3)]
    seen = waiting(gate, "stream_slot")
    assert seen["side"] == "upstream" and [one["stream"] for one in seen["holders"]] == [1, 3]
    ids = {one["upstream"]["stream"]: one["id"] for one in gate.json("/streams")["streams"] if one["upstream"]}
    assert {one["id"] for one in seen["holders"]} == {ids[1], ids[3]}
    release.set()
    assert [call.result() for call in calls] == [b""] * 3
    assert wait_for("it is over", lambda: [one for one in waits(gate, "?cause=stream_slot") if one["over"]])


def test_each_step_to_a_connection_is_a_cause(gateway, scripted):
    """TCP that is not accepted, TLS that does not go on, SETTINGS that do not come."""
    go_on = threading.Event()

    def script(wire, _):
        go_on.wait(TIMEOUT)
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(wire.answer(stream))

    server = scripted(script)
    silent = socket.create_server(("127.0.0.1", 0))  # accepts, and says nothing
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: t.Echo/Unary}, cluster: slow}, {match: {path_prefix: /}, cluster: secret}]
clusters:
  slow: {endpoints: [$server]}
  secret: {endpoints: ["127.0.0.1:$silent"], tls: {verify: false}}
""", server=server.address, silent=str(silent.getsockname()[1]))
    echo = Echo(gate.channel())
    call = echo.unary.future(b"", timeout=TIMEOUT)
    other = echo.client_stream.future(iter([b""]), timeout=TIMEOUT)
    assert waiting(gate, "settings")["method"] == "/t.Echo/Unary"
    assert waiting(gate, "tls")["method"] == "/t.Echo/ClientStream"
    go_on.set()
    assert call.result() == b""
    other.cancel()
    wait_for("both are counted", lambda: gate.metric("call_wait_seconds_sum", cause="settings") > 0.1
             and gate.metric("call_wait_seconds_sum", cause="tls") > 0.1)
    assert {one["cause"] for one in waits(gate) if one["over"]} == {"settings", "tls"}
    silent.close()


def test_pauses_and_limits_are_waits(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes:
- match: {method: t.Echo/Unary}
  cluster: c
  retry: {attempts: 2, on: [ABORTED], idempotent: true, backoff: {initial: 300ms, jitter: 0%}}
- {match: {path_prefix: /}, cluster: c, message_limit: {rate: 4/s, burst: 1, action: delay}}
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    with pytest.raises(Exception):
        echo.unary(b"", metadata=[("do-code", "ABORTED")], timeout=TIMEOUT)
    pause = wait_for("the pause", lambda: waits(gate, "?cause=retry"))[0]
    assert pause["over"] and 290 <= pause["lasted_ms"] and pause["attempt"] == 0
    assert gate.metric("call_wait_seconds_sum", cause="retry") >= 0.29
    echo.client_stream(iter([b"x" * 1000] * 5), timeout=TIMEOUT)
    assert wait_for("the limit", lambda: waits(gate, "?cause=message_rate"))[0]["lasted_ms"] >= 200


def test_waits_for_the_peers_are_counted_and_not_traced(gateway, backend):
    gate = gateway(PLAIN, service=backend.address)
    echo = Echo(gate.channel())
    echo.unary(b"", metadata=[("do-sleep", "0.15")], timeout=TIMEOUT)
    wait_for("it is counted", lambda: gate.metric("call_wait_seconds_sum", cause="peer_headers") >= 0.15)
    assert waits(gate) == []
    call = echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT)
    backend.wait_seen(2)
    assert wait_for("it waits for long", lambda: waits(gate, "?peers=1"))[0]["cause"] == "peer_headers"
    assert waits(gate) == []
    call.cancel()
    # A call whose client has more to say waits for the client.
    client = Client(gate)
    client.start("/t.Echo/Bidi")
    assert waiting(gate, "client_data")["side"] == "downstream"


@pytest.mark.parametrize("query", ["last_ms=x", "min_ms=-1", "peers=2", "cause=nonsense"])
def test_what_cannot_be_asked(plain, query):
    status, text = plain.get("/trace?" + query)
    assert status == 400 and len(text) > 10


def test_command_line(plain):
    assert run_command("trace", "--admin", plain.admin).stdout == "no call was held up\n"
    done = run_command("trace", "--last", "soon", "--admin", plain.admin)
    assert done.returncode == 2 and "expected a duration" in done.stderr
    done = run_command("trace", "--cause", "nonsense", "--admin", plain.admin)
    assert done.returncode == 1 and done.stderr
    assert run_command("trace", "--help").stdout.startswith("usage: fusegate trace")
