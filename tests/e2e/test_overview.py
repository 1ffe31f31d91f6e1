"""/overview: the numbers of the last seconds are those of what clients did."""
import json
import re
import signal

from backends import Echo, code_of
from gateway import TIMEOUT, wait_for
from scripted import answering
from wire import Client

SHAPE = {
    None: {"time", "uptime_s", "version", "pid", "workers", "state", "config", "now", "history", "methods",
           "methods_left_out", "endpoints", "waits", "breakers", "limits", "log", "complete"},
    "now": {"window_s", "calls_per_s", "failures_per_s", "refused_per_s", "retries_per_s", "read_bytes_per_s",
            "written_bytes_per_s", "p50_ms", "p90_ms", "p99_ms", "in_progress", "queued", "downstream_connections",
            "upstream_connections"},
    "history": {"t", "took_s", "calls", "failures", "refused", "retries", "in_progress", "queued", "read_bytes",
                "written_bytes", "p50_ms", "p90_ms", "p99_ms"},
    "methods": {"cluster", "method", "calls_per_s", "failures_per_s", "refused_per_s", "failure_ratio", "p50_ms", "p90_ms",
                "p99_ms", "calls", "failures"},
    "endpoints": {"cluster", "endpoint", "attempts_per_s", "failures_per_s", "p50_ms", "p99_ms", "attempts", "failures",
                  "connections", "streams", "breaker"},
    "waits": {"cause", "ended_per_s", "p50_ms", "p99_ms", "ended"},
    "limits": {"cluster", "streams", "limit", "long", "long_limit", "queued", "queue_limit", "retries"},
}


def numbers(value):
    if isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def overview(gate, query="?history=300"):
    """The answer; whatever happens, its shape is this and nothing is negative."""
    seen = gate.json("/overview" + query)
    assert set(seen) == SHAPE[None] and set(seen["now"]) == SHAPE["now"]
    for part in ("history", "methods", "endpoints", "waits", "limits"):
        for one in seen[part]:
            assert set(one) == SHAPE[part], part
    assert all(number >= 0 for number in numbers(seen)), seen
    return seen


def settled(gate, calls):
    """Once the history has so many calls."""
    def look():
        seen = overview(gate)
        return seen if sum(one["calls"] for one in seen["history"]) >= calls else None
    return wait_for(f"{calls} calls are in the history", look)


def counted(seen, what, of=None):
    """How many there were in the window, from a rate."""
    return round((of or seen["now"])[what] * seen["now"]["window_s"], 3)


def test_numbers_are_what_clients_did(plain, echo):
    for _ in range(20):
        echo.unary(b"12345", timeout=TIMEOUT)
    for _ in range(4):
        assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "UNAVAILABLE")], timeout=TIMEOUT)).name == "UNAVAILABLE"
    assert code_of(lambda: echo.unary(b"", metadata=[("do-code", "NOT_FOUND")], timeout=TIMEOUT)).name == "NOT_FOUND"
    slow = echo.server_stream(b"", metadata=[("do-sleep", "0.3"), ("do-size", "1000")], timeout=TIMEOUT)
    assert list(slow) == [b"s" * 1000]
    seen = settled(plain, 26)
    history = seen["history"]
    assert sum(one["calls"] for one in history) == 26 and sum(one["failures"] for one in history) == 4
    assert sum(one["refused"] + one["retries"] for one in history) == 0
    if len(history) <= 10:  # the window has all of it
        assert (counted(seen, "calls_per_s"), counted(seen, "failures_per_s")) == (26, 4)
        unary, stream = seen["methods"]
        assert (unary["cluster"], unary["method"], stream["method"]) == ("c", "/t.Echo/Unary", "/t.Echo/ServerStream")
        assert (counted(seen, "calls_per_s", unary), counted(seen, "calls_per_s", stream)) == (25, 1)
        assert abs(unary["failure_ratio"] - 4 / 25) < 1e-6
        assert stream["p50_ms"] >= 200 and unary["p50_ms"] <= seen["now"]["p99_ms"] and seen["now"]["p99_ms"] >= 200
        assert seen["now"]["p50_ms"] <= seen["now"]["p90_ms"] <= seen["now"]["p99_ms"]
    unary = next(one for one in seen["methods"] if one["method"] == "/t.Echo/Unary")
    assert (unary["calls"], unary["failures"]) == (25, 4)
    endpoint, = seen["endpoints"]
    assert (endpoint["attempts"], endpoint["failures"], endpoint["breaker"]) == (26, 4, "closed")
    assert endpoint["connections"] == 1 and endpoint["streams"] == 0
    read, written = plain.metric("downstream_read_bytes_total"), plain.metric("downstream_written_bytes_total")
    assert 0 < sum(one["read_bytes"] for one in history) <= read
    assert 1000 < sum(one["written_bytes"] for one in history) <= written


def test_what_the_process_is(plain):
    seen = overview(plain, "")
    assert seen["history"] == [] and seen["pid"] == plain.process.pid and seen["workers"] == 1
    assert seen["state"] == "ready" and seen["config"]["file"] == plain.file and seen["config"]["generation"] == 1
    for time in (seen["time"], seen["config"]["loaded"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time), time
    assert seen["config"]["loaded"] <= seen["time"] and seen["complete"] is True and seen["log"] == {"dropped": 0}
    assert seen["limits"][0]["limit"] is None and seen["limits"][0]["queue_limit"] > 0


def test_what_is_in_progress_and_what_waits(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], limits: {streams: 2}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=6 * TIMEOUT) for _ in range(5)]
    backend.wait_seen(2)

    def look():
        seen = overview(gate)
        return seen if seen["now"]["in_progress"] == 5 and seen["now"]["queued"] == 3 else None
    seen = wait_for("a sample has them", look)
    limit, = seen["limits"]
    assert (limit["cluster"], limit["streams"], limit["limit"], limit["queued"]) == ("c", 2, 2, 3)
    endpoint, = seen["endpoints"]
    assert (endpoint["connections"], endpoint["streams"]) == (1, 2)
    assert seen["now"]["downstream_connections"] == seen["now"]["upstream_connections"] == 1
    assert seen["history"][-1]["in_progress"] == 5 and seen["now"]["p50_ms"] is None
    assert [one for one in seen["waits"] if one["cause"] != "stream_slot"] == [], "none has ended"
    now = {one["cause"]: one["calls"] for one in gate.json("/overview?waits=1")["waits"]}
    assert (now["gate"], now["peer_headers"], sum(now.values())) == (3, 2, 5)
    backend.release.set()
    for call in calls:
        call.result()
    seen = wait_for("they have ended", lambda: (s := settled(gate, 5)) and s["now"]["in_progress"] == 0 and s)
    assert next(one for one in seen["waits"] if one["cause"] == "gate")["ended"] == 3
    assert seen["history"][-1]["in_progress"] == 0 and seen["limits"][0]["queued"] == 0


def test_workers_add_up(gateway, backend):
    gate = gateway("""
workers: 3
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    for _ in range(12):  # connections, which the kernel spreads over the workers
        echo = Echo(gate.channel())
        for _ in range(5):
            echo.unary(b"x", timeout=TIMEOUT)
    seen = settled(gate, 60)
    assert seen["workers"] == 3 and sum(one["calls"] for one in seen["history"]) == 60
    method, = seen["methods"]
    assert (method["calls"], seen["endpoints"][0]["attempts"]) == (60, 60)
    assert 1 <= seen["endpoints"][0]["connections"] == gate.metric("upstream_connections") <= 3
    wait_for("a sample has all of them", lambda: overview(gate)["now"]["downstream_connections"] == 12)


def test_a_gateway_that_drains_says_so(plain, backend):
    channel = plain.channel()
    call = Echo(channel).unary.future(b"", metadata=[("do-hang", "1")], timeout=6 * TIMEOUT)
    backend.wait_seen()
    plain.process.send_signal(signal.SIGTERM)
    wait_for("it drains", lambda: overview(plain)["state"] == "draining")
    assert overview(plain)["complete"] is True
    backend.release.set()
    call.result()
    plain.close_clients()
    wait_for("it has ended", lambda: plain.process.poll() is not None)


def test_refusals_are_the_gateways_own(gateway, scripted):
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$bad], breaker: {consecutive_failures: 2, open_for: 60s}}}
""", bad=bad.address)
    echo = Echo(gate.channel())
    for _ in range(5):
        assert code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "UNAVAILABLE"
    seen = settled(gate, 5)
    assert sum(one["failures"] for one in seen["history"]) == 2 and sum(one["refused"] for one in seen["history"]) == 3
    assert seen["breakers"]["open"] >= 1 and seen["breakers"]["half_open"] == 0
    assert seen["endpoints"][0]["attempts"] == 2


def test_idle_after_work_is_zero(plain, echo):
    """The window moves on: rates are 0 again, percentiles have no value, and nothing has become negative."""
    for _ in range(50):
        echo.unary(b"x", timeout=TIMEOUT)
    settled(plain, 50)

    def idle():
        seen = overview(plain)
        return seen if seen["now"]["calls_per_s"] == 0 else None
    seen = wait_for("the calls have left the window", idle, timeout=4 * TIMEOUT)
    assert seen["now"]["p99_ms"] is None and seen["now"]["read_bytes_per_s"] == 0
    method, = seen["methods"]
    assert (method["calls"], method["calls_per_s"], method["failure_ratio"], method["p50_ms"]) == (50, 0, 0, None)
    assert sum(one["calls"] for one in seen["history"]) == 50, "the history still has them"
    times = [one["t"] for one in seen["history"]]
    assert times == sorted(times) and seen["now"]["window_s"] >= 9


def test_methods_are_asked_for_by_number(plain):
    client = Client(plain)
    streams = [client.start(f"/t.Many/M{k}", end=True) for k in range(60)]
    client.until_end(*streams)
    seen = settled(plain, 60)
    assert len(seen["methods"]) == 50 and seen["methods_left_out"] == 10
    assert len(overview(plain, "?methods=10000")["methods"]) == 60
    seen = overview(plain, "?methods=0&history=1")
    assert seen["methods"] == [] and len(seen["history"]) == 1
    for bad in ("history=301", "history=-1", "history=x", "methods=10001", "methods=", "waits=2"):
        assert plain.get("/overview?" + bad)[0] == 400, bad


def test_strange_method_names_make_valid_json(plain):
    client = Client(plain)
    paths = ['/a"b\\c/d', "/<script>alert(1)</script>/&amp;", "/ä/€\u2028", "/x/" + "y" * 3000]
    for path in paths:
        client.until_end(client.start(path, end=True))
    raw = b"/bad\xff\xc3(/\xf0\x9f"
    client.until_end(client.start(raw, end=True))
    seen = settled(plain, 5)
    names = {one["method"].encode("latin-1") for one in seen["methods"]}  # as every answer shows what peers chose
    assert {path.encode() for path in paths} | {raw} == names
    status, text = plain.get("/overview")
    assert status == 200 and text.isascii() and json.loads(text)
