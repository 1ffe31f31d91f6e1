"""Row B4: peers that never send or acknowledge SETTINGS, or change their limits late."""
import threading

import grpc
import pytest

from backends import Echo, error_of
from gateway import SCALE, TIMEOUT, wait_for
from scripted import requests
from wire import (ACK, DATA, END_STREAM, FLOW_CONTROL_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW, MAX_FRAME, MAX_STREAMS,
                  PREFACE, PROTOCOL_ERROR, SETTINGS, SETTINGS_TIMEOUT, TABLE_SIZE, Client, frame, message, settings,
                  window_update)

PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
"""
IMPATIENT = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: ["$service"], connect_timeout: 300ms, http2: {settings_timeout: 300ms}}}
"""


# ---- endpoints ----

def test_endpoint_that_never_sends_settings_gets_no_call(gateway, scripted):
    got = []

    def script(wire, _):
        while True:
            got.append(wire.read())

    service = scripted(script)
    gate = gateway(IMPATIENT, service=service.address)
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert dict(error.trailing_metadata())["x-fusegate-origin"] == "local_connect"
    assert "SETTINGS" in error.details(), error.details()
    assert HEADERS not in [one.kind for one in got]


def test_endpoint_that_never_acknowledges_is_left_with_settings_timeout(gateway, scripted):
    codes = []

    def script(wire, _):
        wire.answer_settings = False
        wire.send(settings())
        for stream, _, _ in requests_until_goaway(wire, codes):
            wire.send(wire.answer(stream))

    service = scripted(script)
    gate = gateway(IMPATIENT, service=service.address)
    echo = Echo(gate.channel())
    assert echo.unary(b"", timeout=TIMEOUT) == b"", "it may work until the time is over"
    wait_for("GOAWAY", lambda: codes, 5 * SCALE)
    assert codes == [SETTINGS_TIMEOUT]
    assert echo.unary(b"", timeout=TIMEOUT) == b"", "on another connection"


def requests_until_goaway(wire, codes):
    while True:
        got = wire.until(lambda got: got.kind == GOAWAY or got.ended)
        if got.kind == GOAWAY:
            codes.append(got.code)
            return
        yield got.stream, None, None


def test_endpoint_that_lowers_its_window_below_what_was_sent(gateway, scripted):
    """The stream's window becomes negative: nothing may be sent until WINDOW_UPDATE has made it positive again."""
    size = 200_000
    overrun = []

    def script(wire, _):
        wire.answer_windows = False
        wire.send(settings((INITIAL_WINDOW, 60_000)), window_update(0, 1 << 20))
        stream = wire.until_kind(HEADERS).stream
        received = 0
        while received < 60_000:
            received += len(wire.until_kind(DATA).payload)
        wire.send(settings((INITIAL_WINDOW, 10_000)), window_update(stream, 40_000), frame(6, 0, 0, b"quietly?"))
        # The window is now 60,000 - 60,000 - 50,000 + 40,000 = -10,000.
        got = wire.until(lambda got: got.kind == DATA or (got.kind == 6 and got.flags & ACK))
        if got.kind == DATA:
            overrun.append(got)
        wire.send(window_update(stream, 10_001))
        got = wire.until_kind(DATA)
        received += len(got.payload)
        if len(got.payload) != 1:
            overrun.append(got)
        wire.send(window_update(stream, 1 << 20))
        while not got.ended:
            got = wire.until_kind(DATA)
            received += len(got.payload)
        wire.send(wire.answer(stream, str(received).encode()))
        wire.until_closed()

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    assert Echo(gate.channel()).unary(b"x" * size, timeout=TIMEOUT) == str(size + 5).encode()
    assert not overrun, overrun


def test_endpoint_that_lowers_its_stream_limit_late(gateway, scripted):
    """100 at first, then 2: from then on a connection has at most two open streams, others go elsewhere or wait."""
    limit_known = threading.Event()
    most = {}

    def script(wire, number):
        wire.send(settings((MAX_STREAMS, 2 if limit_known.is_set() else 100)))
        lowered = limit_known.is_set()
        is_open, acked = set(), lowered
        while True:
            got = wire.read()
            if got.kind == SETTINGS and got.flags & ACK and limit_known.is_set():
                acked = True
            if got.kind == HEADERS:
                is_open.add(got.stream)
                if acked:
                    most[number] = max(most.get(number, 0), len(is_open))
            if got.ended:
                wire.send(wire.answer(got.stream))
                is_open.discard(got.stream)
                if not limit_known.is_set():
                    limit_known.set()
                    wire.send(settings((MAX_STREAMS, 2)))
                    wire.until(lambda got: got.kind == SETTINGS and got.flags & ACK)
                    acked = True

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    echo = Echo(gate.channel())
    assert echo.unary(b"", timeout=TIMEOUT) == b""
    calls = [echo.unary.future(b"", timeout=TIMEOUT) for _ in range(60)]
    assert [call.result() for call in calls] == [b""] * 60
    assert max(most.values()) <= 2, most


def test_endpoint_with_small_frames_and_windows(gateway, scripted):
    """1 KiB of window at a time, no HPACK table."""
    def script(wire, _):
        wire.send(settings((INITIAL_WINDOW, 1024), (TABLE_SIZE, 0)))
        for stream, _, content in requests(wire):
            wire.send(wire.answer(stream, str(len(content)).encode()))

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    echo = Echo(gate.channel())
    for _ in range(3):
        assert echo.unary(b"x" * 100_000, timeout=TIMEOUT) == b"100005"


# ---- clients ----

def test_client_that_never_sends_settings(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen, http2: {preface_timeout: 300ms}}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    client = Client(gate, preface=b"")
    client.answer_settings = False
    client.send(PREFACE)
    assert client.until_goaway().code == PROTOCOL_ERROR
    assert gate.faults("preface_timeout") == 1


def test_client_that_never_acknowledges(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen, http2: {settings_timeout: 300ms}}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    client = Client(gate)
    client.answer_settings = False
    assert client.call(b"x") == b"x"
    assert client.until_goaway().code == SETTINGS_TIMEOUT
    assert gate.faults("settings_timeout") == 1


def test_client_that_lowers_its_window_late(plain):
    client = Client(plain, (INITIAL_WINDOW, 60_000))
    client.answer_windows = False
    client.send(window_update(0, 1 << 20))
    stream = client.start("/t.Echo/ServerStream", ("do-count", "1"), ("do-size", "200000"))
    client.send(frame(DATA, END_STREAM, stream, message(b"")))
    received = 0
    while received < 60_000:
        received += len(client.until_kind(DATA).payload)
    assert received == 60_000
    client.send(settings((INITIAL_WINDOW, 0)), window_update(stream, 59_999))
    before = len(client.seen)
    client.ping()
    assert DATA not in [got.kind for got in client.seen[before:]]
    client.send(window_update(stream, 2))
    assert len(client.until_kind(DATA).payload) == 1
    client.send(window_update(stream, 1 << 20))
    while not client.read().ended:
        pass


def test_client_whose_window_grows_by_settings(plain):
    client = Client(plain, (INITIAL_WINDOW, 0))
    client.answer_windows = False
    stream = client.start()
    client.send(frame(DATA, END_STREAM, stream, message(b"later")))
    client.until_kind(HEADERS)
    client.ping()
    assert DATA not in [got.kind for got in client.seen]
    client.send(settings((INITIAL_WINDOW, 1000)))
    assert client.until_end(stream)[stream][1][5:] == b"later"


@pytest.mark.parametrize("pair, code", [((INITIAL_WINDOW, 1 << 31), FLOW_CONTROL_ERROR), ((9, 2), PROTOCOL_ERROR),
                                        ((MAX_FRAME, 100), PROTOCOL_ERROR), ((MAX_FRAME, 1 << 24), PROTOCOL_ERROR),
                                        ((2, 2), PROTOCOL_ERROR)])
def test_client_with_settings_out_of_range(plain, pair, code):
    client = Client(plain, pair)
    assert client.until_goaway().code == code


def test_window_that_settings_would_overflow(plain):
    """RFC 9113 section 6.9.2: a change that makes any window exceed 2^31-1 is a connection error."""
    client = Client(plain)
    stream = client.start("/t.Echo/ServerStream", ("do-hang", "1"))
    client.send(window_update(stream, (1 << 31) - 1 - 65535), settings((INITIAL_WINDOW, 65536)))
    assert client.until_goaway().code == FLOW_CONTROL_ERROR


def test_unknown_settings_are_ignored(plain):
    client = Client(plain, (0x1234, 1), (MAX_STREAMS, 0))
    assert client.call(b"x") == b"x"
