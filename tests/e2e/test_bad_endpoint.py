"""Endpoints that break HTTP/2 or do not speak gRPC: the caller gets one status that says so, the next call goes on."""
import pytest

from backends import Echo, error_of
from details import decode_status
from gateway import TIMEOUT, wait_for
from scripted import requests
from wire import (ANSWER, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PUSH_PROMISE, Client, frame, goaway,
                  message, settings, window_update)

CONFIGURATION = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], breaker: {enabled: false}}}
"""


@pytest.fixture
def call_bad(gateway, scripted):
    """Calls an endpoint that answers with ANSWER(wire, stream), well the second time: the first call's error."""
    def run(answer):
        calls = []

        def script(wire, _):
            wire.send(settings())
            for stream, _, _ in requests(wire):
                calls.append(stream)
                if len(calls) > 1:
                    wire.send(wire.answer(stream, b"well"))
                elif answer(wire, stream) is None:
                    return

        gate = gateway(CONFIGURATION, service=scripted(script).address)
        echo = Echo(gate.channel())
        error = error_of(lambda: echo.unary(b"", timeout=TIMEOUT))
        assert echo.unary(b"", timeout=TIMEOUT) == b"well"
        trailers = dict(error.trailing_metadata())
        info = decode_status(trailers["grpc-status-details-bin"])["ErrorInfo"]
        return error.code().name, info["reason"], trailers["x-fusegate-origin"], gate
    return run


def plain_answer(status, *fields):
    def answer(wire, stream):
        wire.send(wire.headers(stream, [(":status", str(status)), *fields]), frame(DATA, END_STREAM, stream, b"sorry"))
        return True
    return answer


@pytest.mark.parametrize("status, code", [(200, "UNKNOWN"), (302, "UNKNOWN"), (400, "INTERNAL"),
                                          (401, "UNAUTHENTICATED"), (403, "PERMISSION_DENIED"),
                                          (404, "UNIMPLEMENTED"), (418, "UNKNOWN"), (429, "UNAVAILABLE"),
                                          (431, "INTERNAL"), (500, "UNKNOWN"), (502, "UNAVAILABLE"),
                                          (503, "UNAVAILABLE"), (504, "UNAVAILABLE")])
def test_http_status_without_grpc_status(call_bad, status, code):
    found = call_bad(plain_answer(status, ("content-type", "text/html")))
    assert found[:3] == (code, "UPSTREAM_HTTP_STATUS", "upstream_missing_status")


def test_answer_without_a_status(call_bad):
    def answer(wire, stream):
        wire.send(wire.headers(stream, ANSWER), frame(DATA, END_STREAM, stream, message(b"half")))
        return True
    assert call_bad(answer)[:3] == ("UNKNOWN", "UPSTREAM_NO_STATUS", "upstream_missing_status")


def test_trailers_without_a_status(call_bad):
    def answer(wire, stream):
        wire.send(wire.headers(stream, ANSWER), wire.headers(stream, [("x-more", "1")], end=True))
        return True
    assert call_bad(answer)[:3] == ("UNKNOWN", "UPSTREAM_NO_STATUS", "upstream_missing_status")


STREAM_FAULTS = {
    "no :status": lambda wire, stream: wire.headers(stream, [("content-type", "application/grpc")]),
    "data before headers": lambda wire, stream: frame(DATA, 0, stream, message(b"x")),
    "upper case": lambda wire, stream: frame(HEADERS, END_HEADERS, stream, b"\x88\0\1X\1y"),
    "connection header": lambda wire, stream: wire.headers(stream, [*ANSWER, ("connection", "close")]),
    "window update of zero": lambda wire, stream: window_update(stream, 0),
    "compression flag that does not exist": lambda wire, stream: wire.headers(stream, ANSWER) +
        frame(DATA, 0, stream, b"\5\0\0\0\1x"),
    "content-length that lies": lambda wire, stream: wire.headers(stream, [*ANSWER, ("content-length", "3")]) +
        frame(DATA, 0, stream, message(b"x")),
    "header list over the limit": lambda wire, stream: wire.headers(stream, [*ANSWER] + [(f"x{i}", "") for i in
                                                                                         range(200)]),
}


@pytest.mark.parametrize("name", STREAM_FAULTS)
def test_fault_on_the_stream(call_bad, name):
    def answer(wire, stream):
        wire.send(STREAM_FAULTS[name](wire, stream))
        return True
    code, reason, origin, gate = call_bad(answer)
    assert (code, reason, origin) == ("INTERNAL", "UPSTREAM_PROTOCOL_ERROR", "upstream_protocol")
    assert gate.metric("upstream_connections_opened_total") == 1, "the connection is still good"


CONNECTION_FAULTS = {
    "bad header block": lambda stream: frame(HEADERS, END_HEADERS, stream, b"\xff\x7f"),
    "frame larger than allowed": lambda stream: frame(DATA, 0, stream, b"x" * 20000),
    "push": lambda stream: frame(PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\2\x83"),
    "even stream": lambda stream: frame(HEADERS, END_HEADERS, 2, b"\x88"),
    "stream that was never opened": lambda stream: frame(DATA, 0, stream + 100, b"x"),
    "ping of 7 bytes": lambda stream: frame(PING, 0, 0, b"1234567"),
    "connection window overflow": lambda stream: window_update(0, (1 << 31) - 1),
    "ping flood": lambda stream: frame(PING, 0, 0, b"12345678") * 2000,
    "settings flood": lambda stream: settings() * 2000,
    "header block without an end": lambda stream: frame(HEADERS, 0, stream, b"\x88") + frame(9, 0, stream) * 100,
}


@pytest.mark.parametrize("name", CONNECTION_FAULTS)
def test_fault_on_the_connection(call_bad, name):
    told = []

    def answer(wire, stream):
        wire.answer_pings = wire.answer_settings = False
        wire.send(CONNECTION_FAULTS[name](stream))
        told.append(wire.until_kind(GOAWAY).code)
    code, reason, _, gate = call_bad(answer)
    assert code in ("INTERNAL", "UNAVAILABLE")
    assert reason in ("UPSTREAM_PROTOCOL_ERROR", "UPSTREAM_CONNECTION_LOST")
    wait_for("the endpoint is told why", lambda: told)
    assert told[0] != 0
    assert gate.metric("upstream_connections_opened_total") == 2


@pytest.mark.parametrize("when", ["headers", "message"])
def test_connection_that_ends_in_the_middle(call_bad, when):
    def answer(wire, stream):
        if when == "message":
            wire.send(wire.headers(stream, ANSWER), frame(DATA, 0, stream, b"\0\0\0\0\x10half"))
    assert call_bad(answer)[:3] == ("UNAVAILABLE", "UPSTREAM_CONNECTION_LOST", "upstream_connection")


def test_goaway_that_spares_the_call(gateway, scripted):
    """Its stream id is not above the last one: the answer comes."""
    def script(wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(goaway(stream, 11), wire.answer(stream, b"still"))
            return

    gate = gateway(CONFIGURATION, service=scripted(script).address)
    assert Echo(gate.channel()).unary(b"", timeout=TIMEOUT) == b"still"


def test_informational_responses_are_skipped(gateway, scripted):
    def script(wire, _):
        wire.send(settings())
        for stream, _, _ in requests(wire):
            wire.send(wire.headers(stream, [(":status", "103"), ("link", "x")]), wire.answer(stream, b"final"))

    gate = gateway(CONFIGURATION, service=scripted(script).address)
    assert Echo(gate.channel()).unary(b"", timeout=TIMEOUT) == b"final"


def test_answer_before_the_request_has_ended(gateway, scripted):
    """The whole answer arrives, then the client is told to stop with NO_ERROR (RFC 9113 section 8.1)."""
    def script(wire, _):
        wire.send(settings())
        stream = wire.until_kind(HEADERS).stream
        wire.send(wire.headers(stream, [(":status", "200"), ("content-type", "application/grpc"),
                                        ("grpc-status", "9"), ("grpc-message", "enough")], end=True))
        wire.until_closed()

    gate = gateway(CONFIGURATION, service=scripted(script).address)
    client = Client(gate)
    stream = client.start()
    _, _, trailers = client.until_end(stream)[stream]
    assert (trailers["grpc-status"], trailers["grpc-message"]) == ("9", "enough")
    assert client.until_kind(3, stream).code == 0
