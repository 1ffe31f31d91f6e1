"""Endpoints whose answers end inside of a message. Where trailers are content nothing may follow such a piece: the client
would take it for the rest of the message. Its connection or stream ends instead."""
import base64
import json
import re
import subprocess

import pytest

from faces import VERSIONS, envelopes, request
from gateway import TIMEOUT
from reflection import compile_set
from scripted import requests
from wire import ANSWER, DATA, frame, message, settings

HALF = b"\0\0\0\0\x20half of it"
KINDS = ["application/grpc-web", "application/grpc-web-text", "application/connect+proto"]


def content_of(kind, body):
    """Without base64, which is padded texts one after the other."""
    if not kind.endswith("text"):
        return body
    return b"".join(base64.b64decode(part) for part in re.findall(rb"[^=]+=*", body))


@pytest.fixture
def endpoint(scripted):
    """endpoint(HALF, ENDS) answers the first call with a message and HALF of one, the others well."""
    def start(half, ends):
        calls = []

        def script(wire, _):
            wire.send(settings())
            for stream, _, _ in requests(wire):
                calls.append(stream)
                if len(calls) > 1:
                    wire.send(wire.answer(stream, b"\x08\x07"))
                    continue
                wire.send(wire.headers(stream, ANSWER), frame(DATA, 0, stream, message(b"\x08\x07") + half))
                if not ends:
                    return
                wire.send(wire.headers(stream, [("grpc-status", "0")], end=True))
        return scripted(script).address
    return start


@pytest.mark.parametrize("half", [HALF, HALF[:3]], ids=["content", "prefix"])
@pytest.mark.parametrize("ends", [True, False], ids=["status", "lost"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_follows_half_a_message(gateway, endpoint, kind, version, ends, half):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], breaker: {enabled: false}}}
""", service=endpoint(half, ends))
    command = ["curl", "-s", "-m", str(TIMEOUT), VERSIONS[version], "-H", f"content-type: {kind}", "--data-binary", "",
               f"http://{gate.address}/t.Echo/Unary"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT + 5)
    assert done.returncode == (18 if version == "h1" else 92), done  # the transfer was cut
    sent, got = message(b"\x08\x07") + half, content_of(kind, done.stdout)
    assert got == sent if version == "h1" else sent.startswith(got)  # curl may drop what came with a reset
    code = "INTERNAL" if ends else "UNAVAILABLE"
    assert gate.metric("calls_total", code=code) == 1
    answer = request(gate, version, "/t.Echo/Unary", kind)
    assert envelopes(content_of(kind, answer.body))[0] == (0, b"\x08\x07")


@pytest.mark.parametrize("kind", ["application/grpc-web+json", "application/connect+json"])
def test_half_a_message_that_would_have_been_json_is_an_error(gateway, endpoint, tmp_path, kind):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$service], descriptors: $set, breaker: {enabled: false}}}
""", service=endpoint(HALF, True), set=compile_set(tmp_path))
    answer = request(gate, "h1", "/t.Echo/Unary", kind, b"\0\0\0\0\2{}")
    (_, first), (_, last) = envelopes(answer.body)
    assert json.loads(first) == {"id": "7"}
    assert b"ends inside of a message" in last or b"ends%20inside%20of%20a%20message" in last
    assert gate.metric("calls_total", code="INTERNAL") == 1
