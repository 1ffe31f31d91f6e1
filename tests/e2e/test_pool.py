"""Row A2: the pool counts streams. Further connections are opened for a reason, waiting is bounded, nothing that was
never sent is lost."""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest

from backends import Backend, Echo, error_of
from details import decode_status
from gateway import SCALE, TIMEOUT, free_port, wait_for
from scripted import requests
from wire import DATA, HEADERS, MAX_STREAMS, PING, Client, goaway, rst, settings

PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
"""
NO_BREAKER = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], breaker: {enabled: false}}}
"""


def try_call(echo):
    try:
        return echo.unary(b"", timeout=0.3 * SCALE) == b""
    except grpc.RpcError:
        return False


def reason_of(error):
    return decode_status(dict(error.trailing_metadata())["grpc-status-details-bin"])["ErrorInfo"]["reason"]


def holding(limit, arrived, release):
    """Allows LIMIT streams on a connection and answers none before RELEASE."""
    def script(wire, _):
        wire.send(settings((MAX_STREAMS, limit)))
        waiting = []
        wire.sock.settimeout(TIMEOUT)
        for stream, _, _ in requests(wire):
            waiting.append(stream)
            assert len(waiting) <= limit, "more streams than allowed"
            arrived.release()
            if len(waiting) < limit and not release.is_set():
                continue
            release.wait(TIMEOUT)
            wire.send(*[wire.answer(one) for one in waiting])
            waiting.clear()
    return script


@pytest.mark.parametrize("limit", [1, 2])
def test_further_connections_when_stream_slots_run_out(gateway, scripted, limit):
    arrived, release = threading.Semaphore(0), threading.Event()
    service = scripted(holding(limit, arrived, release))
    gate = gateway(PLAIN, service=service.address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(8)]
    for _ in range(8):
        assert arrived.acquire(timeout=TIMEOUT), gate.json("/clusters")
    assert len(service.wires) == 8 // limit
    release.set()
    assert [call.result() for call in calls] == [b""] * 8


def test_one_connection_is_enough_for_calls_one_after_another(gateway, backend):
    gate = gateway(PLAIN, service=backend.address)
    echo = Echo(gate.channel())
    for _ in range(100):
        echo.unary(b"", timeout=TIMEOUT)
    assert gate.metric("upstream_connections") == 1


def test_limits_streams_per_connection(gateway, scripted):
    arrived, release = threading.Semaphore(0), threading.Event()
    service = scripted(holding(100, arrived, release))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {streams_per_connection: 3}}}
""", service=service.address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(9)]
    for _ in range(9):
        assert arrived.acquire(timeout=TIMEOUT)
    assert len(service.wires) == 3
    for call in calls:
        call.cancel()


def test_a2_a_slow_stream_does_not_delay_short_calls(plain, echo):
    """One client connection. The bound is generous: what it must exclude is waiting for the slow stream."""
    slow = echo.unary.future(b"", metadata=[("do-sleep", "3")], timeout=TIMEOUT)
    begin = time.monotonic()
    for i in range(100):
        assert echo.unary(b"%d" % i, timeout=TIMEOUT) == b"%d" % i
    assert time.monotonic() - begin < 1.5 * SCALE
    assert not slow.done()
    slow.cancel()


def p99_of_short_calls(echo, count=100):
    times = []
    for _ in range(count):
        begin = time.monotonic()
        echo.unary(b"x", timeout=TIMEOUT)
        times.append(time.monotonic() - begin)
    return sorted(times)[count * 99 // 100 - 1]


def test_a2_p99_of_short_calls_beside_a_5_s_stream(plain, echo):
    """The row's own figure: one client connection, one 5 s stream, 100 short calls. Best of some rounds, with and
    without in turn, so that the machine's other work meets both; more of them while it is busy."""
    without, beside = [], []
    echo.unary(b"", timeout=TIMEOUT)
    for _ in range(25):
        if len(beside) >= 5 and min(beside) <= 2 * min(without):
            break
        without.append(p99_of_short_calls(echo))
        slow = echo.server_stream(b"", metadata=[("do-sleep", "5")], timeout=TIMEOUT)
        beside.append(p99_of_short_calls(echo))
        assert slow.is_active()
        slow.cancel()
    assert min(beside) <= 2 * min(without), (without, beside)


def test_a2_a_stream_that_nobody_reads_does_not_delay_short_calls(plain):
    """A download whose client stops reading holds up to its window, and nobody else."""
    client = Client(plain)
    client.answer_windows = False
    stream = client.start("/t.Echo/ServerStream", ("do-count", "100"), ("do-size", "100000"))
    client.send(b"\0\0\x05\0\1" + stream.to_bytes(4, "big") + b"\0\0\0\0\0")
    client.until_kind(DATA)
    echo = Echo(plain.channel())
    begin = time.monotonic()
    for _ in range(100):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    assert time.monotonic() - begin < 1.5 * SCALE


def test_pending_queue_is_bounded(gateway, scripted):
    arrived, release = threading.Semaphore(0), threading.Event()
    service = scripted(holding(1, arrived, release))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {connections: 1, pending: 5}}}
""", service=service.address)
    echo = Echo(gate.channel())
    calls = [echo.unary.future(b"", timeout=TIMEOUT)]
    assert arrived.acquire(timeout=TIMEOUT)
    calls += [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(5)]
    wait_for("five wait", lambda: gate.metric("calls_pending") == 5)
    error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_FULL")
    assert dict(error.trailing_metadata())["x-fusegate-origin"] == "local_queue"
    release.set()
    assert [call.result() for call in calls] == [b""] * 6
    assert gate.metric("queue_overflows_total") == 1


def test_pending_time_is_bounded(gateway, scripted):
    arrived, release = threading.Semaphore(0), threading.Event()
    service = scripted(holding(1, arrived, release))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {connections: 1, pending_timeout: 200ms}}}
""", service=service.address)
    echo = Echo(gate.channel())
    first = echo.unary.future(b"", timeout=TIMEOUT)
    assert arrived.acquire(timeout=TIMEOUT)
    begin = time.monotonic()
    error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "QUEUE_TIMEOUT")
    assert 0.19 < time.monotonic() - begin < 0.2 + 0.2 * SCALE
    error = error_of(lambda: echo.unary(b"", timeout=0.1))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, "a shorter deadline goes first"
    release.set()
    assert first.result() == b""


def test_cancelled_while_pending(gateway, scripted):
    arrived, release = threading.Semaphore(0), threading.Event()
    service = scripted(holding(1, arrived, release))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], limits: {connections: 1}}}
""", service=service.address)
    echo = Echo(gate.channel())
    first = echo.unary.future(b"", timeout=TIMEOUT)
    assert arrived.acquire(timeout=TIMEOUT)
    others = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(10)]
    wait_for("ten wait", lambda: gate.metric("calls_pending") == 10)
    for call in others:
        call.cancel()
    wait_for("none waits", lambda: gate.metric("calls_pending") == 0)
    release.set()
    assert first.result() == b""


def test_backend_down_at_start_and_up_later(gateway):
    port = free_port()
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["$service"], breaker: {enabled: false}}}
""", service=f"127.0.0.1:{port}")
    echo = Echo(gate.channel())
    error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
    assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "CONNECT_FAILED")
    assert "onnection refused" in error.details(), error.details()
    backend = Backend(f"127.0.0.1:{port}")
    try:
        assert echo.unary(b"up", timeout=TIMEOUT) == b"up"
    finally:
        backend.close()


def test_address_that_does_not_answer(gateway):
    """A listening socket whose backlog is full drops what comes: connecting takes for ever."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["127.0.0.1:$port"], connect_timeout: 200ms}}
""", port=port)
        error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
        assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "CONNECT_FAILED")
        assert "timed out" in error.details()
        for filler in fillers:
            filler.close()


SERVE = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from backends import Backend
backend = Backend(sys.argv[2])
print("ready", flush=True)
threading.Event().wait(60)
"""


def test_backend_killed_in_the_middle(gateway):
    address = f"127.0.0.1:{free_port()}"
    here = os.path.dirname(os.path.abspath(__file__))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["$service"], breaker: {enabled: false}}}
""", service=address)
    echo = Echo(gate.channel())

    def start():
        process = subprocess.Popen([sys.executable, "-c", SERVE, here, address], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        return process

    process = start()
    try:
        hanging = [echo.unary.future(b"", metadata=[("do-hang", "1")], timeout=TIMEOUT) for _ in range(10)]
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
        wait_for("all on their way", lambda: gate.metric("upstream_streams") == 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        for call in hanging:
            error = error_of(call.result)
            assert (error.code(), reason_of(error)) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_CONNECTION_LOST")
        process.stdout.close()
        process = start()
        assert echo.unary(b"again", timeout=TIMEOUT) == b"again"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_goaway_under_load_loses_nothing(gateway, scripted):
    """Each connection takes 20 requests, says GOAWAY with the last of them and answers those. A request that crosses
    the GOAWAY is refused by it, and tried again on another connection: nobody notices."""
    def script(wire, _):
        wire.send(settings())
        stream = taken = 0
        for stream, _, _ in requests(wire):
            taken += 1
            wire.send(wire.answer(stream))
            if taken == 20:
                break
        wire.last = stream
        wire.answer_windows = False  # from here on nothing is sent: bytes for a closed socket would cost what it holds
        wire.send(goaway(stream))
        wire.until_closed()

    service = scripted(script)
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], breaker: {enabled: false}}}
""", service=service.address)
    echo = Echo(gate.channel())
    failures = []

    def caller():
        for _ in range(100):
            try:
                echo.unary(b"", timeout=TIMEOUT)
            except grpc.RpcError as error:
                failures.append(reason_of(error))

    callers = [threading.Thread(target=caller) for _ in range(4)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()

    assert not failures
    assert len(service.wires) >= 10
    refused = sum(got.kind == HEADERS and got.stream > getattr(wire, "last", 1 << 31)
                  for wire in service.wires for got in wire.seen)
    assert gate.metric("transparent_retries_total") >= refused


def test_goaway_while_idle_costs_no_call(gateway, scripted):
    def script(wire, number):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(wire.answer(stream, b"%d" % number) + goaway(stream))
            return

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    echo = Echo(gate.channel())
    for i in range(1, 11):
        assert echo.unary(b"", timeout=TIMEOUT) == b"%d" % i


def test_connection_whose_streams_all_break_gets_no_new_calls(gateway, scripted):
    """The first connection resets every stream; the second one answers."""
    def script(wire, number):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(rst(stream, 2) if number == 1 else wire.answer(stream))

    service = scripted(script)
    gate = gateway(NO_BREAKER, service=service.address)
    echo = Echo(gate.channel())
    for _ in range(3):
        assert reason_of(error_of(lambda: echo.unary(b"", timeout=TIMEOUT))) == "UPSTREAM_RESET"
    for _ in range(5):
        assert echo.unary(b"", timeout=TIMEOUT) == b""
    assert len(service.wires) == 2
    wait_for("the bad connection closed", lambda: gate.metric("upstream_connections") == 1, 2 * SCALE)


def test_silent_connection_is_asked_for_a_sign_of_life(gateway, scripted):
    """A deadline ran out and the connection brought nothing since: a PING goes out, and the next call goes elsewhere."""
    def script(wire, number):
        wire.send(settings())
        wire.answer_pings = False
        for stream, _, _ in requests(wire):
            if number > 1:
                wire.send(wire.answer(stream))

    service = scripted(script)
    gate = gateway(NO_BREAKER, service=service.address)
    echo = Echo(gate.channel())
    assert error_of(lambda: echo.unary(b"", timeout=0.3)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("a second connection answers", lambda: try_call(echo), 2 * SCALE)
    assert len(service.wires) == 2
    wait_for("a PING", lambda: any(got.kind == PING for got in service.wires[0].seen), 2 * SCALE)


def test_slow_call_on_a_connection_that_lives_is_no_reason_for_another_one(gateway, backend):
    gate = gateway(NO_BREAKER, service=backend.address)
    echo = Echo(gate.channel())
    slow = [echo.unary.future(b"", metadata=[("do-sleep", "0.5")], timeout=0.2 * SCALE) for _ in range(3)]
    for call in slow:
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("the sign of life", lambda: try_call(echo), 2 * SCALE)
    time.sleep(0.05)
    for _ in range(20):
        assert echo.unary(b"x", timeout=TIMEOUT) == b"x"
    assert gate.metric("upstream_connections") <= 2
