"""Row C1: one deadline for the whole call, and a cancel that reaches the other side at once."""
import re
import threading
import time

import grpc
import pytest

from backends import Echo, error_of
from details import decode_status
from gateway import SCALE, TIMEOUT, wait_for
from scripted import requests
from wire import ANSWER, CANCEL, DATA, HEADERS, INTERNAL_ERROR, RST_STREAM, Client, frame, message, rst, settings

PLAIN = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service]}}
"""
HANG = [("do-hang", "1")]
LATE = 0.1 * SCALE  # what a deadline or a cancel may take beyond its time

UNITS = {"H": 3600, "M": 60, "S": 1, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def seconds(timeout):
    match = re.fullmatch(r"(\d{1,8})([HMSmun])", timeout)
    assert match, timeout
    return int(match[1]) * UNITS[match[2]]


def test_backend_is_given_the_remaining_time(echo, backend):
    echo.unary(b"", timeout=20)
    assert 19 < backend.wait_seen()[0].remaining < 20.2, "grpcio rounds what it sends up to 100 ms"


@pytest.mark.parametrize("sent", ["1H", "90M", "59S", "2500m", "99999999u", "3000000u", "99999999n", "7S"])
def test_forwarded_timeout_is_never_longer_than_the_clients(gateway, scripted, sent):
    seen = []

    def script(wire, _):
        wire.send(settings())
        for stream, fields, _ in requests(wire):
            seen.append(fields["grpc-timeout"])
            wire.send(wire.answer(stream))

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    client = Client(gate)
    client.call(b"", "/t.Echo/Unary", ("grpc-timeout", sent))
    assert seconds(sent) - 0.5 * SCALE < seconds(seen[0]) <= seconds(sent), seen


@pytest.mark.parametrize("bad", ["", "1", "S", "123456789S", "-1S", "1.5S", "1 S", "1s", "1Sx", " 1S"])
def test_malformed_timeout_is_rejected(plain, bad):
    client = Client(plain)
    stream = client.start("/t.Echo/Unary", ("grpc-timeout", bad), end=True)
    _, _, trailers = client.until_end(stream)[stream]
    if isinstance(trailers, int):
        assert bad == " 1S", "only a value with a leading space is malformed HTTP/2 (RFC 9113 section 8.2.1)"
    else:
        assert trailers["grpc-status"] == "3" and trailers["x-fusegate-origin"] == "local_bad_request"
        assert plain.metric("malformed_timeouts_total") == 1
    assert client.call(b"next") == b"next"


@pytest.mark.parametrize("headers", [False, True])
def test_deadline_of_a_backend_that_hangs(gateway, scripted, headers):
    """Before the answer's headers (trailers-only), or after them: the gateway answers, the backend is told at once."""
    codes, done = [], threading.Event()

    def script(wire, _):
        wire.send(settings())
        stream = wire.until_kind(HEADERS).stream
        if headers:
            wire.send(wire.headers(stream, ANSWER), frame(DATA, 0, stream, message(b"half")))
        codes.append((wire.until_kind(RST_STREAM).code, time.monotonic()))
        done.set()
        wire.until_closed()

    gate = gateway(PLAIN, service=scripted(script).address)
    client = Client(gate)
    begin = time.monotonic()
    stream = client.start("/t.Echo/Unary", ("grpc-timeout", "300m"), end=True)
    fields, content, trailers = client.until_end(stream)[stream]
    took = time.monotonic() - begin
    assert trailers["grpc-status"] == "4" and trailers["x-fusegate-origin"] == "local_deadline", trailers
    assert content == (message(b"half") if headers else b"")
    assert 0.3 <= took < 0.3 + LATE
    assert done.wait(TIMEOUT)
    assert codes[0][0] == CANCEL and 0.3 <= codes[0][1] - begin < 0.3 + LATE


def test_route_timeout_caps_the_clients(gateway, scripted):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: t.Echo/Unary}, cluster: c, timeout: 200ms}, {cluster: c}]
clusters: {c: {endpoints: [$service]}}
""", service=scripted(answering_slowly).address)
    echo = Echo(gate.channel())
    for timeout in (20, None):
        begin = time.monotonic()
        error = error_of(lambda: echo.unary(b"", timeout=timeout))
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert 0.2 <= time.monotonic() - begin < 0.2 + LATE
        trailers = dict(error.trailing_metadata())
        assert decode_status(trailers["grpc-status-details-bin"])["ErrorInfo"]["reason"] == "DEADLINE_EXCEEDED"
    assert echo.client_stream(iter([b"x"]), timeout=20) == b"answer", "the other route has no cap"


def answering_slowly(wire, _):
    """Answers ClientStream, leaves Unary alone."""
    wire.send(settings())
    for stream, fields, _ in requests(wire):
        if fields[":path"] == "/t.Echo/ClientStream":
            wire.send(wire.answer(stream, b"answer"))


def test_client_deadline_shorter_than_the_routes(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, timeout: 20s}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    Echo(gate.channel()).unary(b"", timeout=5)
    assert backend.wait_seen()[0].remaining <= 5.1  # grpcio rounds what it sends up


def test_deadline_of_zero_never_reaches_the_backend(plain, backend):
    client = Client(plain)
    stream = client.start("/t.Echo/Unary", ("grpc-timeout", "0m"), end=True)
    assert client.until_end(stream)[stream][2]["grpc-status"] == "4"
    assert client.call(b"x") == b"x"
    assert len(backend.wait_seen()) == 1


def test_stream_ends_at_its_deadline_after_messages(plain, backend):
    echo = Echo(plain.channel())
    answer = echo.server_stream(b"m", metadata=[("do-count", "3"), ("do-stay", "1")], timeout=0.5 * SCALE)
    assert [next(answer) for _ in range(3)] == [b"m0", b"m1", b"m2"]
    assert error_of(lambda: next(answer)).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert backend.wait_seen()[0].ended.wait(TIMEOUT)


def cancelled_at_once(backend, cancel):
    seen = backend.wait_seen()[0]
    assert not seen.ended.is_set()
    begin = time.monotonic()
    cancel()
    assert seen.ended.wait(TIMEOUT)
    assert seen.ended_at - begin < LATE


def test_cancel_of_a_unary_call_reaches_the_backend_at_once(echo, backend):
    call = echo.unary.future(b"", metadata=HANG, timeout=TIMEOUT)
    backend.wait_seen()
    cancelled_at_once(backend, call.cancel)


def test_cancel_of_a_server_stream_reaches_the_backend_at_once(echo, backend):
    call = echo.server_stream(b"m", metadata=[("do-stay", "1")], timeout=TIMEOUT)
    assert next(call) == b"m0"
    cancelled_at_once(backend, call.cancel)


def test_cancel_of_a_bidi_stream_reaches_the_backend_at_once(echo, backend):
    hold = threading.Event()

    def messages():
        yield b"one"
        hold.wait(TIMEOUT)

    call = echo.bidi(messages(), timeout=TIMEOUT)
    assert next(call) == b"one"
    cancelled_at_once(backend, call.cancel)
    hold.set()


def test_client_that_disappears_cancels_its_calls(plain, backend):
    client = Client(plain)
    client.start("/t.Echo/ServerStream", ("do-hang", "1"), end=False)
    client.send(b"\0\0\x05\0\1\0\0\0\1\0\0\0\0\0")
    backend.wait_seen()
    cancelled_at_once(backend, client.close)


def test_cancel_is_rst_stream_cancel_on_the_wire(gateway, scripted):
    codes, arrived, done = [], threading.Event(), threading.Event()

    def script(wire, _):
        wire.send(settings())
        wire.until_kind(HEADERS)
        arrived.set()
        codes.append(wire.until_kind(RST_STREAM).code)
        done.set()
        wire.until_closed()

    gate = gateway(PLAIN, service=scripted(script).address)
    client = Client(gate)
    stream = client.start(end=True)
    assert arrived.wait(TIMEOUT)
    client.send(rst(stream, CANCEL))
    assert done.wait(TIMEOUT) and codes == [CANCEL]


@pytest.mark.parametrize("code, status", [(INTERNAL_ERROR, 13), (CANCEL, 1), (7, 14), (11, 8), (12, 7)])
def test_reset_by_the_backend_becomes_its_status(gateway, scripted, code, status):
    def script(wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(rst(stream, code))

    service = scripted(script)
    gate = gateway(PLAIN, service=service.address)
    error = error_of(lambda: Echo(gate.channel()).unary(b"", timeout=TIMEOUT))
    assert error.code().value[0] == status
    trailers = dict(error.trailing_metadata())
    assert trailers["x-fusegate-origin"] == "upstream_rst"
    assert decode_status(trailers["grpc-status-details-bin"])["ErrorInfo"]["reason"] == "UPSTREAM_RESET"


def test_abort_by_the_backend_reaches_a_streaming_client(echo, backend):
    """The client still sends when the backend gives up."""
    hold = threading.Event()

    def messages():
        yield b"one"
        hold.wait(TIMEOUT)

    error = error_of(lambda: echo.client_stream(messages(), metadata=[("do-code", "FAILED_PRECONDITION")],
                                                timeout=TIMEOUT))
    hold.set()
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "asked for")


def test_deadline_is_a_failure_of_the_endpoint_although_the_caller_cancels_first(gateway, backend):
    """grpcio resets the stream when its deadline is over, and its clock began before ours."""
    gate = gateway(PLAIN, service=backend.address)
    echo = Echo(gate.channel())
    for _ in range(5):
        call = echo.unary.future(b"", metadata=[("do-sleep", "3")], timeout=0.2 * SCALE)
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for("the breaker", lambda: gate.json("/clusters")["clusters"][0]["endpoints"][0]["breaker"]["state"] == "open")
