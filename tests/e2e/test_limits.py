"""Row C3 and the limits beside it: how often, how much at once, who goes first."""
import collections
import subprocess
import threading
import time

import grpc
import pytest

from backends import Echo, error_of
from details import decode_status
from gateway import SCALE, TIMEOUT, wait_for
from scripted import requests
from wire import Client, message, settings

RATE, WINDOWS = 10, 10


def reason_of(error):
    return decode_status(dict(error.trailing_metadata())["grpc-status-details-bin"])


class Arrivals:
    """Answers everything and keeps when what came, by the field x-key."""

    def __init__(self, scripted):
        self.times, self.lock = collections.defaultdict(list), threading.Lock()
        self.address = scripted(self.script).address

    def script(self, wire, _):
        wire.send(settings())
        for stream, fields, content in requests(wire):
            with self.lock:
                self.times[fields.get("x-key")].append(time.monotonic())
            wire.send(wire.answer(stream, content[5:]))


def h2load(address, callers, key, seconds, body):
    """CALLERS calls at a time, each followed by the next: the load generator never waits for the limiter."""
    clients = min(callers, 50)
    return subprocess.Popen(
        ["h2load", "-c", str(clients), "-m", str(callers // clients), "-t", "1", "-D", str(seconds), "-d", body,
         "-H", "content-type: application/grpc", "-H", "te: trailers", "-H", f"x-key: {key}",
         *(["--rps", str(max(1, 2000 // clients))] if callers > 1 else []), f"http://{address}/t.Echo/Unary"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_c3_ten_a_second_is_ten_whatever_the_number_of_callers(gateway, scripted, tmp_path, workers):
    """The callers are all at work at the same time, each group with a key of its own."""
    body = tmp_path / "body"
    body.write_bytes(message(b""))
    service = Arrivals(scripted)
    gate = gateway(f"""
workers: {workers}
listeners: [{{address: $listen}}]
routes:
- cluster: c
  rate_limit: {{rate: {RATE}/s, key: "header:x-key"}}
clusters: {{c: {{endpoints: [$service]}}}}
access_log: {{path: "off"}}
""", service=service.address)
    groups = (1, 50, 100, 1000)
    running = [h2load(gate.address, callers, str(callers), WINDOWS, str(body)) for callers in groups]
    for process in running:
        out, _ = process.communicate(timeout=WINDOWS * 5 * SCALE)
        assert process.returncode == 0, out
    for callers in groups:
        times = service.times[str(callers)]
        span = WINDOWS * RATE
        assert span * 0.98 <= len(times) <= span + 2, (callers, len(times))  # with the default burst of 1
        # A window of a second holds ten and the burst; the way from the gateway to the clock here may move one in.
        for i, begin in enumerate(times):
            inside = sum(begin <= t < begin + 1 for t in times[i:i + 3 * RATE])
            assert inside <= RATE + 1 + 1, (callers, i, inside)


def test_a_refusal_says_when_to_come_again(gateway, scripted):
    service = Arrivals(scripted)
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, rate_limit: {rate: 60/m, burst: 2, key: "header:x-key"}}]
clusters: {c: {endpoints: [$service]}}
""", service=service.address)
    echo = Echo(gate.channel())
    for _ in range(3):
        echo.unary(b"", metadata=[("x-key", "a")], timeout=TIMEOUT)
    error = error_of(lambda: echo.unary(b"", metadata=[("x-key", "a")], timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    fields, details = dict(error.trailing_metadata()), reason_of(error)
    assert details["ErrorInfo"]["reason"] == "RATE_LIMITED"
    assert fields["x-fusegate-origin"] == "local_limit"
    assert 0 < int(fields["grpc-retry-pushback-ms"]) <= 1000
    assert details["RetryInfo"]["seconds"] <= 1
    assert "threshold" in details["ErrorInfo"]["metadata"]
    echo.unary(b"", metadata=[("x-key", "b")], timeout=TIMEOUT)  # another key is another limit
    assert len(service.times["a"]) == 3
    assert gate.metric("rate_limited_total") == 1


def test_messages_of_a_stream_are_held_back(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, message_limit: {rate: 20/s, burst: 4, action: delay}}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    begin = time.monotonic()
    total = Echo(gate.channel()).client_stream(iter([b"x" * 1000] * 15), timeout=TIMEOUT)
    assert total == b"15000"
    assert time.monotonic() - begin >= 10 / 20 * 0.95


def test_a_stream_with_too_many_messages_is_ended(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, message_limit: {rate: 1/s, burst: 4, action: reject}}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    error = error_of(lambda: Echo(gate.channel()).client_stream(iter([b"x"] * 50), timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(error)["ErrorInfo"]["reason"] == "MESSAGE_RATE"


# ---- how much at once ----

class Slow:
    """Answers when it is told to; counts how many are at work at once."""

    def __init__(self, scripted, limit=1000):
        self.lock, self.active, self.most = threading.Condition(), 0, 0
        self.order, self.release = [], threading.Semaphore(0)
        self.address = scripted(self.script).address

    def script(self, wire, _):
        wire.send(settings())
        for stream, fields, content in requests(wire):
            with self.lock:
                self.active += 1
                self.most = max(self.most, self.active)
                self.order.append((fields.get("x-priority"), fields.get("x-tenant"), content[5:]))
                self.lock.notify_all()
            threading.Thread(target=self.finish, args=(wire, stream), daemon=True).start()

    def finish(self, wire, stream):
        self.release.acquire()
        with self.lock:
            self.active -= 1
            wire.reply(wire.answer(stream))

    def wait_active(self, count):
        with self.lock:
            assert self.lock.wait_for(lambda: self.active >= count, TIMEOUT), self.active


GATED = """
workers: $workers
listeners: [{address: $listen}]
routes:
- cluster: c
  priority_header: x-priority
  tenant: {header: x-tenant, weights: {gold: 3, silver: 1}}
clusters: {c: {endpoints: [$service], breaker: {enabled: false}, limits: {$limits}}}
"""


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_streams_at_once_are_exact_over_all_workers(gateway, scripted, workers):
    service = Slow(scripted)
    gate = gateway(GATED, service=service.address, workers=workers, limits="streams: 5")
    calls = [Echo(gate.channel(("grpc.channel_id", i))).unary.future(b"%d" % i, timeout=TIMEOUT) for i in range(40)]
    service.wait_active(5)
    wait_for("the others wait", lambda: gate.metric("calls_pending") == 35)
    assert any(one["wait"]["cause"] == "gate" for one in gate.json("/streams")["streams"])
    seen = gate.json("/clusters")["clusters"][0]["gate"]
    assert (seen["in_progress"], seen["limit"], seen["pending"]) == (5, 5, 35)
    for _ in calls:
        service.release.release()
    for call in calls:
        call.result()
    assert service.most == 5
    assert gate.metric("calls_pending") == 0


def test_high_priorities_go_first_and_tenants_share_by_weight(gateway, scripted):
    service = Slow(scripted)
    gate = gateway(GATED, service=service.address, workers=1, limits="streams: 1")
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"first", timeout=TIMEOUT)]
    service.wait_active(1)
    kinds = [("0", "gold")] * 8 + [("2", "silver")] * 8 + [("1", "gold")] * 12 + [("1", "silver")] * 12 + \
        [("2", "gold")] * 8
    for i, (priority, tenant) in enumerate(kinds):
        calls.append(echo.unary.future(b"%d" % i, metadata=[("x-priority", priority), ("x-tenant", tenant)],
                                       timeout=TIMEOUT))
        wait_for("it waits", lambda: gate.metric("calls_pending") == i + 1)
    for _ in calls:
        service.release.release()
    for call in calls:
        call.result()
    order = service.order[1:]
    assert [priority for priority, _, _ in order] == ["2"] * 16 + ["1"] * 24 + ["0"] * 8
    shares = collections.Counter(tenant for _, tenant, _ in order[16:28])
    assert 8 <= shares["gold"] <= 10, shares  # 3 : 1
    for tenant in ("gold", "silver"):  # first come, first served
        numbers = [int(name) for priority, one, name in order if (priority, one) == ("1", tenant)]
        assert numbers == sorted(numbers)


def test_a_full_queue_gives_way_to_a_higher_priority(gateway, scripted):
    service = Slow(scripted)
    gate = gateway(GATED, service=service.address, workers=1, limits="streams: 1, pending: 2")
    echo = Echo(gate.channel())

    def call(priority):
        return echo.unary.future(b"", metadata=[("x-priority", priority)], timeout=TIMEOUT)

    running = call("1")
    service.wait_active(1)
    low = call("0")
    wait_for("it waits", lambda: gate.metric("calls_pending") == 1)
    normal = call("1")
    wait_for("it waits", lambda: gate.metric("calls_pending") == 2)
    high = call("2")
    assert reason_of(low.exception(timeout=TIMEOUT))["ErrorInfo"]["reason"] == "SHED"
    late = call("0")
    assert reason_of(late.exception(timeout=TIMEOUT))["ErrorInfo"]["reason"] == "QUEUE_FULL"
    for _ in range(3):
        service.release.release()
    for one in (running, normal, high):
        one.result(timeout=TIMEOUT)


def test_a_call_that_cannot_make_it_is_refused_at_once(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    for _ in range(120):
        echo.unary(b"", metadata=[("do-sleep", "0.05")], timeout=TIMEOUT)
    before = len(backend.seen)
    error = error_of(lambda: echo.unary(b"", metadata=[("do-sleep", "0.05")], timeout=0.02))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("the refusal", lambda: gate.metric("doomed_total") == 1)
    assert len(backend.seen) == before


def test_long_streams_have_a_budget_of_their_own(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], limits: {streams: 2, long_streams: 3, long_after: 100ms}}}
""", backend=backend.address)
    echo = Echo(gate.channel())
    streams = [echo.server_stream(b"", metadata=[("do-stay", "1")], timeout=TIMEOUT) for _ in range(2)]
    for stream in streams:
        next(stream)
    # Both places are taken until the streams count as long.
    assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    for stream in streams:
        stream.cancel()


# ---- time ----

def test_stream_idle_timeout(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, stream_idle_timeout: 300ms}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    stream = Echo(gate.channel()).server_stream(b"", metadata=[("do-stay", "1")], timeout=TIMEOUT)
    next(stream)
    begin = time.monotonic()
    error = error_of(lambda: next(stream))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert reason_of(error)["ErrorInfo"]["reason"] == "STREAM_IDLE"
    assert 0.25 <= time.monotonic() - begin <= 0.3 + SCALE


def test_a_stream_that_talks_is_not_idle(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, stream_idle_timeout: 300ms}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)

    def talk():
        for _ in range(6):
            time.sleep(0.1)
            yield b"x"

    assert len(list(Echo(gate.channel()).bidi(talk(), timeout=TIMEOUT))) == 6


def test_max_stream_duration(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, max_stream_duration: 300ms}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    stream = Echo(gate.channel()).server_stream(b"", metadata=[("do-stay", "1")], timeout=TIMEOUT)
    next(stream)
    error = error_of(lambda: next(stream))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason_of(error)["ErrorInfo"]["reason"] == "MAX_STREAM_DURATION"


@pytest.mark.parametrize("value", ["", "3", "-1", "high", "00", "11"])
def test_malformed_priorities_are_counted_and_change_nothing(gateway, backend, value):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, priority_header: x-priority}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    client = Client(gate)
    assert client.call(b"x", "/t.Echo/Unary", ("x-priority", value.strip() or "no")) == b"x"
    assert gate.metric("malformed_priorities_total") == 1
