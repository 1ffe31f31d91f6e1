"""/tap: who may ask, how much there is of it, and that calls never wait for it."""
import os
import re
import signal
import socket
import threading
import time

import pytest

from backends import Echo
from gateway import TIMEOUT, wait_for
from reflection import compile_set
from tap import Tap
from test_tap import CONFIG

PLAIN = CONFIG.replace(", descriptors: $set", "")


@pytest.fixture
def gate(gateway, backend):
    return gateway(PLAIN, backend=backend.address)


def nobody_taps(gate):
    wait_for("nobody taps", lambda: gate.metric("taps_active") == 0)


def memory_kib(gate):
    with open(f"/proc/{gate.process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


# ---- who may ask, and for what ----

def test_a_token_is_needed(gateway, gate, backend):
    assert gate.get("/tap", token="")[0] == 401 and gate.get("/tap", token="wrong")[0] == 401
    assert gate.get("/tap", method="POST")[0] == 405
    bare = gateway(PLAIN.replace(", token: s3cret", ""), backend=backend.address)
    status, text = bare.get("/tap")
    assert status == 403 and "set admin.token" in text
    off = gateway(PLAIN + "tap: {enabled: false}", backend=backend.address)
    status, text = off.get("/tap")
    assert status == 403 and "tap.enabled" in text
    assert gate.metric("taps_opened_total") == 0


@pytest.mark.parametrize("query", [
    "rate=0", "rate=1001", "rate=x", "max_bytes=65537", "max_bytes=-1", "seconds=86401", "seconds=x", "count=x", "code=0",
    "code=NICE", "code=%zz", "failed=2", "bytes=2", "header=x", "header=:", "header=" + "n" * 200 + ":v",
    "header=n:" + "v" * 600, "header=authorization:a*", "header=Cookie:*", "method=" + "m" * 600, "peer=%00"])
def test_bad_parameters(gate, query):
    status, text = gate.get(f"/tap?{query}")
    assert status == 400 and len(text) > 10, (status, text)
    assert gate.metric("taps_opened_total") == 0


def test_a_head_request_begins_nothing_that_stays(gate):
    assert gate.get("/tap", method="HEAD")[0] == 200
    wait_for("it is closed", lambda: gate.metric("taps_closed_total") == gate.metric("taps_opened_total"))
    assert gate.metric("taps_active") == 0


def test_four_sessions_at_once_and_the_log_says_each(gate):
    taps = [Tap(gate) for _ in range(4)]
    status, text = gate.get("/tap")
    assert status == 503 and "4 sessions" in text
    assert gate.metric("taps_active") == 4
    taps.pop().close()
    wait_for("one has left", lambda: gate.metric("taps_active") == 3)
    taps.append(Tap(gate))
    Echo(gate.channel()).unary(b"")
    for tap in taps:
        tap.one("end")
        tap.close()
    nobody_taps(gate)
    assert len(re.findall(r"tap \d+ began: up to 100 calls per second", gate.errors())) == 5
    assert len(re.findall(r"tap \d+ ended: 1 calls shown, 0 events missed", gate.errors())) == 4


# ---- the end of a session ----

def test_sessions_end_by_count_and_by_time(gate):
    counted, timed = Tap(gate, count=2), Tap(gate, seconds=1)
    echo = Echo(gate.channel())
    for _ in range(3):
        echo.unary(b"")
    assert counted.ended.wait(TIMEOUT) and timed.ended.wait(TIMEOUT)
    assert counted.events[-1]["event"] == "over" and counted.events[-1]["why"] == "count"
    assert len(counted.of("begin")) == len(counted.of("end")) == 2 == counted.events[-1]["calls"]
    assert timed.events[-1]["why"] == "seconds"
    nobody_taps(gate)


def test_a_session_ends_in_the_middle_of_a_call(gate):
    tap, other = Tap(gate), Tap(gate)
    go_on = threading.Event()

    def requests():
        yield b"1"
        assert go_on.wait(TIMEOUT)
        yield b"2"
    answers = Echo(gate.channel()).bidi(requests())
    assert next(answers) == b"1"
    tap.wait("message", direction="response")
    tap.close()
    wait_for("one has left", lambda: gate.metric("taps_active") == 1)
    go_on.set()
    assert list(answers) == [b"2"]
    assert other.one("end")["messages_down"] == 2 and len(other.of("message")) == 4
    other.close()
    nobody_taps(gate)


def test_the_gateway_drains(gate):
    tap = Tap(gate)
    Echo(gate.channel()).unary(b"")
    tap.wait("end")
    gate.close_clients()
    gate.process.send_signal(signal.SIGTERM)
    assert tap.ended.wait(TIMEOUT) and gate.join() == 0


def test_calls_that_end_with_the_gateway(gateway, backend):
    """They end when the session has gone already."""
    gate = gateway(PLAIN + "drain_timeout: 500ms", backend=backend.address)
    tap = Tap(gate)
    call = Echo(gate.channel()).unary.future(b"", metadata=[("do-hang", "1")])
    backend.wait_seen()
    tap.wait("attempt")
    gate.process.send_signal(signal.SIGTERM)
    assert gate.join() == 0 and call.exception() is not None
    assert tap.ended.wait(TIMEOUT) and tap.events[-1]["why"] == "draining"


# ---- how much ----

def test_the_rate_is_bounded_and_what_is_left_out_is_said(gate):
    tap = Tap(gate, rate=4)
    echo = Echo(gate.channel())
    began = time.monotonic()
    for _ in range(200):
        echo.unary(b"")
    took = time.monotonic() - began
    wait_for("what was skipped", lambda: sum(one["calls"] for one in tap.of("missed")) + len(tap.of("begin")) >= 200)
    assert 2 <= len(tap.of("begin")) <= 3 + 4 * took
    wait_for("all of what was chosen", lambda: len(tap.of("end")) == len(tap.of("begin")))


def test_all_workers_share_the_rate(gateway, backend):
    gate = gateway(PLAIN + "workers: 3", backend=backend.address)
    tap = Tap(gate, rate=1)
    for _ in range(8):
        Echo(gate.channel(("grpc.use_local_subchannel_pool", 1))).unary(b"")
    wait_for("what was skipped", lambda: sum(one["calls"] for one in tap.of("missed")) + len(tap.of("begin")) >= 8)
    workers = gate.metric("taps_opened_total")
    assert len(tap.of("begin")) <= 4 and workers == 1


def test_a_reader_that_does_not_read(gateway, backend, monkeypatch):
    """What it does not take is missed and counted; calls go on, and memory stays what it is."""
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") +
                       ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
    gate = gateway(PLAIN, backend=backend.address)
    host, port = gate.admin.rsplit(":", 1)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((host, int(port)))
    slow.sendall(b"GET /tap?rate=1000&max_bytes=65536 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer s3cret\r\n\r\n")
    wait_for("the tap", lambda: gate.metric("taps_active") == 1)
    echo = Echo(gate.channel())
    big = b"m" * 60_000

    def missed():
        for _ in range(20):
            assert echo.unary(big, timeout=TIMEOUT) == big
        return gate.metric("tap_events_missed_total")
    wait_for("events are missed", missed, 6 * TIMEOUT)
    before = memory_kib(gate)
    for _ in range(100):
        assert echo.unary(big, timeout=TIMEOUT) == big
    assert memory_kib(gate) - before < 16 * 1024, "rings and one answer are all that is kept"
    slow.close()
    nobody_taps(gate)


def test_a_reader_that_comes_back_is_told_what_it_missed(gate):
    """What is in the socket and the ring is read; then comes how many events are missing, and calls are whole again."""
    host, port = gate.admin.rsplit(":", 1)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((host, int(port)))
    slow.sendall(b"GET /tap?rate=1000&max_bytes=65536 HTTP/1.0\r\nhost: 127.0.0.1\r\nauthorization: Bearer s3cret\r\n\r\n")
    wait_for("the tap", lambda: gate.metric("taps_active") == 1)
    echo = Echo(gate.channel())
    wait_for("events are missed", lambda: [echo.unary(b"m" * 60_000) for _ in range(20)] and
             gate.metric("tap_events_missed_total"), 6 * TIMEOUT)
    slow.settimeout(TIMEOUT)
    text = b""
    while b'"event": "missed"' not in text:
        part = slow.recv(65536)
        assert part, "the gateway has given it up"
        text = text[-200:] + part
    slow.close()
    nobody_taps(gate)


def test_many_tapped_streams_at_once(gateway, backend, tmp_path):
    """More calls in progress than a session follows: the others are not chosen, and all that are chosen end."""
    gate = gateway(CONFIG, backend=backend.address, set=compile_set(tmp_path))
    tap = Tap(gate, rate=1000, max_bytes=0)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"\x08\x07", metadata=[("do-sleep", "0.2")], timeout=6 * TIMEOUT) for _ in range(100)]
    assert all(call.result() == b"\x08\x07" for call in calls)
    tap.wait("end", 100)
    assert len(tap.of("begin")) == 100 and all(one["cut"] == 0 for one in tap.of("message"))


def test_sessions_that_come_and_go_while_calls_do(gateway, backend):
    """Sinks come to and leave workers that are busy with tapped calls."""
    gate = gateway(PLAIN + "workers: 3", backend=backend.address)
    over = threading.Event()
    failed = []

    def call(echo):
        while not over.is_set():
            try:
                assert list(echo.bidi(iter([b"1", b"2"]), timeout=TIMEOUT)) == [b"1", b"2"]
            except Exception as error:  # told below
                failed.append(error)
                return
    threads = [threading.Thread(target=call, args=(Echo(gate.channel()),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(15):
        taps = [Tap(gate, rate=1000, max_bytes=16) for _ in range(1 + i % 3)]
        taps[0].wait("end")
        gate.get("/tap", method="HEAD")
        for tap in taps:
            tap.close()
    over.set()
    for thread in threads:
        thread.join()
    assert not failed, failed
    nobody_taps(gate)
    opened = gate.metric("taps_opened_total")
    assert opened == gate.metric("taps_closed_total") == 15 + 30
