"""/tap: calls as they happen, in every dialect, redacted, bounded; the data path never waits for it."""
import asyncio
import base64
import json
import threading

import grpc
import pytest
import websockets

from backends import Echo, code_of
from faces import VERSIONS, envelope, request
from gateway import TIMEOUT, wait_for
from reflection import compile_set
from rest_proto import compile_set as rest_set
from tap import Tap, headers
from test_http_service import Service
from test_retry import RETRY, Service as Retried, trailers_only
from test_websocket import Service as WebSocketService
from wire import ANSWER, DATA, END_STREAM, Client, frame, message

CONFIG = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], descriptors: $set, breaker: {enabled: false}}}
admin: {address: $admin, token: s3cret}
"""
HTTP = """
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {enabled: false}}}
admin: {address: $admin, token: s3cret}
$more
"""


@pytest.fixture
def gate(gateway, backend, tmp_path):
    return gateway(CONFIG, backend=backend.address, set=compile_set(tmp_path))


def test_a_unary_call_is_shown_from_its_beginning_to_its_end(gate, backend):
    tap = Tap(gate)
    assert Echo(gate.channel()).unary(b"\x08\x07", metadata=[("x-mine", "1")]) == b"\x08\x07"
    begin, end = tap.one("begin"), tap.one("end")
    assert begin["method"] == "/t.Echo/Unary" and begin["cluster"] == "c" and begin["dialect"] == "grpc"
    assert begin["local"] == gate.address and begin["peer"].startswith("127.0.0.1:")
    assert headers(begin)["x-mine"] == "1" and headers(begin)[":path"] == "/t.Echo/Unary"
    assert tap.one("attempt")["endpoint"] == backend.address
    assert tap.one("message", direction="request")["json"] == {"id": "7"}
    assert tap.one("message", direction="response")["json"] == {"id": "7"}
    assert headers(tap.one("headers"))[":status"] == "200" and headers(tap.one("trailers"))["grpc-status"] == "0"
    assert end["code"] == "OK" and end["endpoint"] == backend.address and end["messages_down"] == 1
    assert all(event["call"] == begin["call"] for event in tap.events)
    assert [e["event"] for e in tap.events][0] == "begin" and tap.events[-1]["event"] == "end"
    tap.close()
    wait_for("nobody taps", lambda: gate.metric("taps_active") == 0)


# ---- every dialect in the same form ----

def asked(version, dialect):
    """How a client of DIALECT sends the order {"id": 7} and what it is."""
    return {
        "connect": (version, "/t.Echo/Unary", "application/json", b'{"id": 7}'),
        "connect_proto": (version, "/t.Echo/Unary", "application/proto", b"\x08\x07"),
        "grpc_web": (version, "/t.Echo/Unary", "application/grpc-web+proto", envelope(b"\x08\x07")),
        "connect_stream": (version, "/t.Echo/Bidi", "application/connect+json", envelope(b'{"id": 7}')),
    }[dialect]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("dialect", ["connect", "connect_proto", "grpc_web", "connect_stream"])
def test_other_dialects_look_like_grpc(gate, version, dialect):
    tap = Tap(gate)
    assert request(gate, *asked(version, dialect)).status == 200
    begin = tap.one("begin")
    end = tap.one("end", call=begin["call"])
    assert begin["method"] == asked(version, dialect)[1] and begin["dialect"].startswith(dialect.split("_")[0])
    assert tap.one("message", direction="request")["json"] == {"id": "7"}
    assert tap.one("message", direction="response")["json"] == {"id": "7"}
    assert tap.of("request_end") and tap.of("trailers") and end["code"] == "OK"


@pytest.mark.parametrize("version", VERSIONS)
def test_rest_looks_like_grpc(gateway, backend, tmp_path, version):
    gate = gateway(CONFIG, backend=backend.address, set=rest_set(tmp_path))
    tap = Tap(gate, method="t.Echo/Unary")
    assert request(gate, version, "/v1/orders/17?shelf=top", "application/json", method="GET").status == 200
    assert tap.one("message", direction="request")["json"] == {"id": "17", "shelf": "top"}
    assert tap.one("message", direction="response")["json"] == {"id": "17", "shelf": "top"}
    assert tap.one("begin")["dialect"] == "rest" and tap.one("end")["code"] == "OK"
    client = tap.one("client")
    assert (client["method"], client["path"]) == ("GET", "/v1/orders/17?shelf=top")
    hides = gateway(CONFIG + "tap: {redact_fields: [shelf]}", backend=backend.address, set=rest_set(tmp_path))
    tap = Tap(hides)
    assert request(hides, version, "/v1/orders/17?shelf=s3same", "application/json", method="GET").status == 200
    assert tap.wait("message", 2)[0]["json"] == {"id": "17", "shelf": "[redacted]"}
    assert tap.one("end")["code"] == "OK" and tap.one("client")["hidden"] is True and "s3same" not in str(tap.events)


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_plain_http_has_bytes_instead_of_messages(gateway, service, version):
    gate = gateway(HTTP, service=service.address, more="")
    tap = Tap(gate)
    answer = request(gate, version, "/a?token=1", "text/plain", "grün".encode(), headers=[("cookie", "secret")])
    assert answer.status == 200
    begin, end = tap.one("begin"), tap.one("end")
    assert begin["method"] == "/a" and begin["dialect"] == "http" and headers(begin)[":path"] == "/a?token=1"
    assert headers(begin)["cookie"] == "[redacted]"
    assert "".join(one["text"] for one in tap.of("data", direction="request")) == "grün"
    assert "".join(one["text"] for one in tap.of("data", direction="response")) == "grün"
    assert end["http_status"] == 200
    request(gate, version, "/b", "application/octet-stream", b"\0\xff")
    wait_for("both calls", lambda: len(tap.of("end")) == 2)
    assert [one["base64"] for one in tap.of("data")[-2:]] == ["AP8=", "AP8="]


def test_of_a_long_body_the_beginning_is_shown(gateway, service):
    gate = gateway(HTTP, service=service.address, more="")
    tap = Tap(gate, max_bytes=10_000)
    assert request(gate, "h2", "/a", "text/plain", b"m" * 3_000_000).body == b"m" * 3_000_000
    assert tap.one("end")["bytes_down"] == 3_000_000
    for direction in ("request", "response"):
        assert sum(len(one["text"]) for one in tap.of("data", direction=direction)) == 10_000


# ---- streams ----

def test_the_messages_of_a_stream_come_as_they_are_sent(gate):
    tap = Tap(gate)
    go_on = [threading.Event() for _ in range(3)]

    def requests():
        for i, event in enumerate(go_on):
            assert event.wait(TIMEOUT)
            yield bytes([8, i + 1])
    answers = Echo(gate.channel()).bidi(requests())
    for i, event in enumerate(go_on):
        event.set()
        assert next(answers) == bytes([8, i + 1])
        assert tap.wait("message", number=i + 1, direction="request")[0]["json"] == {"id": str(i + 1)}
        assert tap.wait("message", number=i + 1, direction="response")[0]["json"] == {"id": str(i + 1)}
        assert i == 2 or not tap.of("end")
    assert list(answers) == []
    assert tap.one("end")["messages_up"] == 3 and tap.one("request_end")


def test_compressed_messages_are_unpacked(gate):
    tap = Tap(gate)
    text = b"\x12\xe8\x07" + b"n" * 1000
    Echo(gate.channel()).unary(text, compression=grpc.Compression.Gzip, metadata=[("do-gzip", "1")])
    for direction in ("request", "response"):
        message = tap.one("message", direction=direction)
        assert message["compressed"] and message["json"] == {"customerName": "n" * 1000} and message["bytes"] < 1000


def test_empty_messages_and_pieces_of_messages(gate):
    """A message that comes byte by byte is one event."""
    tap = Tap(gate)
    client = Client(gate)
    stream = client.start("/t.Echo/Bidi")
    for byte in message(b"") + message(b"\x08\x05") + message(b""):
        client.send(frame(DATA, 0, stream, bytes([byte])))
    client.send(frame(DATA, END_STREAM, stream, b""))
    tap.wait("end")
    assert [one["json"] for one in tap.of("message", direction="request")] == [{}, {"id": "5"}, {}]
    assert [one["number"] for one in tap.of("message", direction="response")] == [1, 2, 3]
    client.close()


def test_messages_that_are_too_long_or_no_protobuf(gate):
    tap = Tap(gate, max_bytes=100)
    echo = Echo(gate.channel())
    echo.unary(b"\x12\xc0\x84\x3d" + b"x" * 1_000_000)
    long = tap.one("message", direction="request")
    assert long["bytes"] == 1_000_004 and long["cut"] == 100 and "json" not in long
    assert base64.b64decode(long["base64"]) == b"\x12\xc0\x84\x3d" + b"x" * 96
    echo.unary(b"\x12\x02\xff\xfe")  # no UTF-8
    bad = tap.wait("message", bytes=4, direction="request")[0]
    assert base64.b64decode(bad["base64"]) == b"\x12\x02\xff\xfe" and "error" in bad and "json" not in bad
    echo.unary(b"\xff")
    assert tap.wait("message", bytes=1, direction="response")[0]["base64"] == "/w=="


# ---- attempts, replies, waits ----

def test_attempts_of_a_call_that_is_tried_again(gateway, scripted):
    service = Retried(scripted, lambda wire, stream, _: trailers_only(wire, stream, 14),
                      lambda wire, stream, _: wire.headers(stream, ANSWER) + frame(DATA, 0, stream, message(b"")) +
                      wire.headers(stream, [("grpc-status", "0")], end=True))
    gate = gateway(RETRY + "admin: {address: $admin, token: s3cret}\n", endpoints=service.address,
                   retry="attempts: 3, idempotent: true, backoff: {initial: 10ms, max: 20ms}")
    tap = Tap(gate)
    Echo(gate.channel()).unary(b"")
    tap.wait("end")
    assert [(one["attempt"], one["endpoint"]) for one in tap.of("attempt")] == [(1, service.address), (2, service.address)]
    assert [(one["code"], one["source"]) for one in tap.of("attempt_end")] == \
        [("UNAVAILABLE", "upstream_trailers_only"), ("OK", "upstream_trailers")]
    assert tap.one("end")["attempts"] == 2 and len(tap.of("message", direction="request")) == 1


def test_a_status_of_the_gateways_own_and_why(gateway):
    gate = gateway(CONFIG.replace(", descriptors: $set", ""), backend="127.0.0.1:1")
    tap = Tap(gate)
    assert code_of(lambda: Echo(gate.channel()).unary(b"")) == grpc.StatusCode.UNAVAILABLE
    reply, end = tap.one("reply"), tap.one("end")
    assert reply["reason"] == end["reason"] == "CONNECT_FAILED" and "127.0.0.1:1" in reply["message"]
    assert reply["source"] == end["source"] == "local_connect" and end["code"] == "UNAVAILABLE"
    assert code_of(lambda: gate.channel().unary_unary("/t.Echo/Unary")(b"", metadata=[("grpc-timeout", "bad")],)) is not None


def test_calls_without_a_route_and_calls_that_wait(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: t.Echo/*}, cluster: c}]
clusters: {c: {endpoints: [$backend], limits: {streams: 1}}}
admin: {address: $admin, token: s3cret}
""", backend=backend.address)
    tap = Tap(gate)
    echo = Echo(gate.channel())
    assert code_of(lambda: gate.channel().unary_unary("/no.Such/Call")(b"")) == grpc.StatusCode.UNIMPLEMENTED
    assert tap.wait("reply")[0]["reason"] == "NO_ROUTE" and tap.wait("begin")[0]["cluster"] == ""
    first = echo.unary.future(b"", metadata=[("do-sleep", "0.4")], timeout=TIMEOUT)
    backend.wait_seen()
    assert echo.unary(b"", timeout=TIMEOUT) == b"" and first.result() == b""
    wait = tap.one("wait")
    assert wait["cause"] == "gate" and wait["duration_ms"] > 100
    assert tap.wait("end", call=wait["call"])[0]["waits_ms"]["gate"] > 100


def test_messages_that_have_to_wait_for_their_limit(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, message_limit: {rate: 5/s, burst: 1, action: delay}}]
clusters: {c: {endpoints: [$backend]}}
admin: {address: $admin, token: s3cret}
""", backend=backend.address)
    tap = Tap(gate)
    assert Echo(gate.channel()).client_stream(iter([b"a"] * 3), timeout=TIMEOUT) == b"3"
    assert tap.wait("wait")[0]["cause"] == "message_rate" and tap.one("end")["waits_ms"]["message_rate"] > 100


def test_a_tunnel(gateway):
    service = WebSocketService()
    try:
        gate = gateway(HTTP, service=service.address, more="")
        tap = Tap(gate)

        async def talk():
            async with websockets.connect(f"ws://{gate.address}/chat") as socket:
                await socket.send("hello")
                assert await socket.recv() == "hello"
        asyncio.run(talk())
        end = tap.one("end")
        assert end["bytes_up"] > 0 and tap.of("data", direction="request") and tap.of("data", direction="response")
        assert headers(tap.one("begin"))[":protocol"] == "websocket"
    finally:
        service.close()


def test_a_call_that_its_client_gives_up(gate, backend):
    tap = Tap(gate)
    call = Echo(gate.channel()).unary.future(b"", metadata=[("do-hang", "1")])
    backend.wait_seen()
    tap.wait("attempt")
    call.cancel()
    end = tap.one("end")
    assert (end["code"], end["source"]) == ("CANCELLED", "client_cancel")


# ---- which calls ----

def test_which_calls(gateway, backend, tmp_path):
    gate = gateway(CONFIG.replace("clusters: {", "routes: [{match: {method: t.Echo/Bidi}, cluster: d}, "
                                  "{match: {path_prefix: /}, cluster: c}]\nclusters: {d: {endpoints: [$backend]}, "),
                   backend=backend.address, set=compile_set(tmp_path))
    echo = Echo(gate.channel())
    look = gate.channel().unary_unary("/t.Echo/Look")

    def calls():
        echo.unary(b"", metadata=[("x-user", "anna")])
        code_of(lambda: echo.unary(b"", metadata=[("do-code", "NOT_FOUND"), ("authorization", "Bearer abc")]))
        list(echo.bidi(iter([b""])))
        request(gate, "h1", "/t.Echo/Unary", "application/proto")
    for query, expected in (
            ({}, ["OK", "NOT_FOUND", "OK", "OK"]),
            ({"method": "t.Echo/Bidi"}, ["OK"]), ({"method": "/t.Echo/U*"}, ["OK", "NOT_FOUND", "OK"]),
            ({"method": "t.Echo/*", "dialect": "connect*"}, ["OK"]), ({"dialect": "grpc"}, ["OK", "NOT_FOUND", "OK"]),
            ({"cluster": "d"}, ["OK"]), ({"cluster": "nobody"}, []),
            ({"header": "X-User: an*"}, ["OK"]), ({"header": "x-user:an"}, []),
            ({"header": "authorization:Bearer abc"}, ["NOT_FOUND"]),
            ({"code": "NOT_FOUND"}, ["NOT_FOUND"]), ({"failed": "1"}, ["NOT_FOUND"]), ({"failed": "1", "code": "OK"}, []),
            ({"endpoint": backend.address}, ["OK", "NOT_FOUND", "OK", "OK"]), ({"endpoint": "10.*"}, []),
            ({"peer": "127.0.0.1:*"}, ["OK", "NOT_FOUND", "OK", "OK"]), ({"peer": "10.0.0.1:*"}, [])):
        tap, control = Tap(gate, **query), Tap(gate)
        calls()
        control.wait("end", 4)
        for i in range(2):  # both are read every 100 ms, by one thread
            look(b"")
            control.wait("end", 5 + i)
        looks = {one["call"] for one in control.of("begin", method="/t.Echo/Look")}
        seen = [one for one in tap.events if one["call"] not in looks]
        assert sorted(one["code"] for one in seen if one["event"] == "end") == sorted(expected), query
        assert len([one for one in seen if one["event"] == "begin"]) == len(expected), query
        tap.close()
        control.close()


# ---- what is not shown ----

SECRETS = "tap: {redact_headers: [x-session], redact_fields: [customer_name, items.name, labels.token, blob]}"


def test_headers_that_are_redacted(gateway, backend):
    gate = gateway(CONFIG.replace(", descriptors: $set", "") + SECRETS.replace(", redact_fields", " } #"),
                   backend=backend.address)
    tap = Tap(gate)
    secrets = ["authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token", "x-session"]
    Echo(gate.channel()).unary(b"", metadata=[(name, "s3same") for name in secrets] + [("x-bytes-bin", b"\1"), ("x-open", "o")])
    begin = headers(tap.one("begin"))
    assert {begin[name] for name in secrets} == {"[redacted]"} and begin["x-open"] == "o" and begin["x-bytes-bin"] == "AQ"
    tap.wait("end")
    assert "s3same" not in str(tap.events)


def test_what_a_client_marks_as_sensitive_and_what_an_endpoint_answers(gateway, backend):
    gate = gateway(CONFIG.replace(", descriptors: $set", "") + "tap: {redact_headers: [X-Large]}", backend=backend.address)
    tap = Tap(gate)
    client = Client(gate)
    client.call(b"", "/t.Echo/Unary", ("x-mine", "s3same", True), ("do-headers", "20"), ("do-trailers", "20"))
    client.close()
    tap.wait("end")
    assert headers(tap.one("begin"))["x-mine"] == "[redacted]"
    for event in tap.one("headers"), tap.one("trailers"):
        assert headers(event)["x-large"] == "[redacted]"
    assert headers(tap.one("headers"))["x-bytes-bin"] == "AP8" and "s3same" not in str(tap.events)


def test_fields_that_are_redacted(gateway, backend, tmp_path):
    gate = gateway(CONFIG + SECRETS, backend=backend.address, set=compile_set(tmp_path))
    tap = Tap(gate)
    order = {"id": "1", "customerName": "s3same", "items": [{"name": "s3same", "price": 0.1}, {"name": "s3same"}],
             "labels": {"token": "s3same", "other": "o"}, "blob": base64.b64encode(b"s3same").decode()}
    assert request(gate, "h2", "/t.Echo/Unary", "application/json", json.dumps(order).encode()).status == 200
    for direction in ("request", "response"):
        assert tap.one("message", direction=direction)["json"] == {
            "id": "1", "customerName": "[redacted]", "items": [{"name": "[redacted]", "price": 0.1}, {"name": "[redacted]"}],
            "labels": {"token": "[redacted]", "other": "o"}, "blob": "[redacted]"}
    Echo(gate.channel()).unary(b"\x12\x06s3same\xff", metadata=[("x-bytes-bin", b"s3same")])
    tap.wait("end", 2)
    for hidden in tap.of("message", bytes=9):
        assert hidden["hidden"] is True and not {"json", "base64", "text"} & set(hidden)
    assert headers(tap.of("begin")[-1])["x-bytes-bin"] == "[8 bytes]"
    assert "s3same" not in str(tap.events) and base64.b64encode(b"s3same").decode() not in str(tap.events)
    assert gate.get("/tap?bytes=1")[0] == 400


def test_what_cannot_be_decoded_is_not_shown_where_something_is_hidden(gateway, service):
    gate = gateway(HTTP, service=service.address, more="tap: {redact_fields: [password, card.number]}")
    tap = Tap(gate)
    assert request(gate, "h1", "/a?x=1&password=s3same&card.number=s3same&user.password=s3same&pass%77ord=s3same&y=2",
                   "application/json", b'{"password": "s3same"}').status == 200
    tap.wait("end")
    assert headers(tap.one("begin"))[":path"] == "/a?x=1&password=[redacted]&card.number=[redacted]&user.password=" \
        "[redacted]&pass%77ord=[redacted]&y=2"
    assert tap.one("data", direction="request")["hidden"] is True
    assert "s3same" not in str([one for one in tap.events if one["event"] != "headers"])
