"""gRPC-Web, binary and text, over HTTP/1.1 and HTTP/2."""
import base64
import re
import subprocess

import pytest

from faces import CODES, envelope, envelopes, request

BINARY, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"


def decode_text(body):
    """Padded texts, one after the other."""
    return b"".join(base64.b64decode(part, validate=True) for part in re.findall(rb"[^=]+=*", body)) if body else b""


def call(gate, version, path, messages, headers=(), kind=BINARY):
    """(ANSWER, MESSAGES, TRAILERS)"""
    body = b"".join(envelope(message) for message in messages)
    answer = request(gate, version, path, kind, base64.b64encode(body) if kind == TEXT else body, headers=headers)
    if answer.status != 200:
        return answer, None, None
    assert answer["content-type"] == kind
    frames = envelopes(decode_text(answer.body) if kind == TEXT else answer.body)
    *data, (flags, last) = frames
    assert flags == 0x80 and all(f == 0 for f, _ in data)
    assert last.endswith(b"\r\n")
    trailers = dict(line.split(": ", 1) for line in last.decode().split("\r\n")[:-1])
    return answer, [content for _, content in data], trailers


@pytest.mark.parametrize("kind", [BINARY, TEXT], ids=["binary", "text"])
@pytest.mark.parametrize("version", ["h1", "h2"])
def test_unary_and_streams(plain, version, kind):
    for size in (0, 1, 2, 3, 1000, 100_000):
        _, messages, trailers = call(plain, version, "/t.Echo/Unary", [b"m" * size], kind=kind)
        assert messages == [b"m" * size] and trailers == {"grpc-status": "0"}
    _, messages, trailers = call(plain, version, "/t.Echo/ServerStream", [b"x"], [("do-count", "50")], kind)
    assert messages == [b"x%d" % i for i in range(50)] and trailers["grpc-status"] == "0"
    _, messages, _ = call(plain, version, "/t.Echo/ClientStream", [b"abc"] * 100, kind=kind)
    assert messages == [b"300"]


@pytest.fixture
def lenient(gateway, backend):
    """A gateway that no failure makes refuse calls."""
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {enabled: false}}}
""", backend=backend.address)


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_every_status_from_the_endpoint_and_in_the_middle(lenient, version):
    for number, name in enumerate(CODES[1:], 1):
        _, messages, trailers = call(lenient, version, "/t.Echo/Unary", [b"x"], [("do-code", name)])
        assert messages == [] and trailers["grpc-status"] == str(number) and trailers["grpc-message"] == "asked for"
        _, messages, trailers = call(lenient, version, "/t.Echo/ServerStream", [b"x"],
                                     [("do-count", "2"), ("do-last-code", name)])
        assert len(messages) == 2 and trailers["grpc-status"] == str(number)


@pytest.mark.parametrize("kind", [BINARY, TEXT], ids=["binary", "text"])
def test_a_large_stream_flows(plain, kind):
    _, messages, trailers = call(plain, "h1", "/t.Echo/ServerStream", [b"x"],
                                 [("do-count", "40"), ("do-size", "500000")], kind)
    assert [len(m) for m in messages] == [500_000] * 40 and trailers["grpc-status"] == "0"
    big = bytes(range(256)) * 8192
    _, messages, _ = call(plain, "h2", "/t.Echo/Bidi", [big, big], kind=kind)
    assert messages == [big, big]


def test_metadata_goes_both_ways(plain, backend):
    answer, _, trailers = call(plain, "h1", "/t.Echo/Unary", [b"x"],
                               [("do-headers", "10"), ("do-trailers", "20"), ("x-mine", "a"), ("x-grpc-web", "1")])
    assert answer["x-large"] == "h" * 10 and answer["x-bytes-bin"] and trailers["x-large"] == "t" * 20
    seen = backend.wait_seen()[0]
    assert seen.get("x-mine") == "a" and seen.get("x-grpc-web") is None


def test_local_statuses_say_whose_they_are(gateway, plain, backend):
    _, messages, trailers = call(plain, "h1", "/t.Echo/Unary", [b"x"], [("do-hang", "1"), ("grpc-timeout", "200m")])
    assert messages == [] and trailers["grpc-status"] == "4"
    assert backend.wait_seen()[0].ended.wait(5)
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: other.Service/*}, cluster: c}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    answer, messages, trailers = call(gate, "h1", "/t.Echo/Unary", [b"x"])
    assert messages == [] and trailers["grpc-status"] == "12"
    assert trailers["x-fusegate-origin"] == answer["x-fusegate-origin"] == "local_no_route"


@pytest.mark.parametrize("version", ["h1", "h2"])
@pytest.mark.parametrize("kind, body, message", [
    (BINARY, b"\0\0\0\0\5hell", "ends inside"),
    (BINARY, b"\0\0\0", "ends inside"),
    (BINARY, b"\7\0\0\0\0", "compression flag"),
    (TEXT, b"AAAAAA!oZWxs", "not base64"),
    (TEXT, b"AAAAAAVoZWxsbw", "ends inside"),
    (TEXT, b"AA==A", "ends inside"),
    (TEXT, b"====", "not base64"),
], ids=["cut", "prefix", "flag", "alphabet", "unpadded", "tail", "padding"])
def test_what_is_malformed_is_refused(plain, version, kind, body, message):
    answer = request(plain, version, "/t.Echo/Unary", kind, body)
    text = answer.body if kind == BINARY else decode_text(answer.body)
    assert answer.status == 200 and message.encode() in text, text
    assert call(plain, version, "/t.Echo/Unary", [b"next"])[1] == [b"next"]


def test_only_post_is_allowed(plain):
    answer = request(plain, "h1", "/t.Echo/Unary", BINARY, method="PUT")
    assert answer.status == 405 and answer["allow"] == "POST"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_client_that_leaves_cancels(plain, backend, version):
    with subprocess.Popen(["curl", "-sS", "-N", version, "-H", f"content-type: {BINARY}", "-H", "do-hang: 1",
                           "--data-binary", "@-", f"http://{plain.address}/t.Echo/Unary"], stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL) as client:
        client.stdin.write(envelope(b"x"))
        client.stdin.close()
        seen = backend.wait_seen()[0]
        client.kill()
    assert seen.ended.wait(5)
