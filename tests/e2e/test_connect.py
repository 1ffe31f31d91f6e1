"""The Connect protocol, unary and streaming, over HTTP/1.1 and HTTP/2."""
import base64
import gzip
import json

import pytest

from faces import CODES, envelope, envelopes, request

STREAM = "application/connect+proto"
HTTP = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401]


def name_of(code):
    return "canceled" if code == "CANCELLED" else code.lower()


def stream(gate, version, path, messages, headers=()):
    """(ANSWER, MESSAGES, END)"""
    answer = request(gate, version, path, STREAM, b"".join(envelope(m) for m in messages), headers=headers)
    assert answer.status == 200 and answer["content-type"] == STREAM
    *data, (flags, end) = envelopes(answer.body)
    assert flags == 2 and all(f == 0 for f, _ in data)
    return answer, [content for _, content in data], json.loads(end)


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_unary(plain, version):
    for size in (0, 1, 5000, 1_000_000):
        answer = request(plain, version, "/t.Echo/Unary", "application/proto", b"m" * size,
                         headers=[("connect-protocol-version", "1")])
        assert answer.status == 200 and answer.body == b"m" * size
        assert answer["content-type"] == "application/proto" and answer["content-length"] == str(size)


@pytest.fixture
def lenient(gateway, backend):
    """A gateway that no failure makes refuse calls."""
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {enabled: false}}}
""", backend=backend.address)


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_every_status_has_its_http_status_and_name(lenient, version):
    for number, name in enumerate(CODES[1:], 1):
        answer = request(lenient, version, "/t.Echo/Unary", "application/proto", b"x", headers=[("do-code", name)])
        assert answer.status == HTTP[number] and answer["content-type"] == "application/json"
        assert json.loads(answer.body) == {"code": name_of(name), "message": "asked for"}
        _, messages, end = stream(lenient, version, "/t.Echo/ServerStream", [b"x"],
                                  [("do-count", "2"), ("do-last-code", name)])
        assert messages == [b"x0", b"x1"]
        assert end["error"] == {"code": name_of(name), "message": "after the messages"}


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_streams(plain, version):
    _, messages, end = stream(plain, version, "/t.Echo/Bidi", [b"a", b"", b"c" * 100_000])
    assert messages == [b"a", b"", b"c" * 100_000] and end == {}
    _, messages, end = stream(plain, version, "/t.Echo/ServerStream", [b"x"],
                              [("do-count", "30"), ("do-size", "300000")])
    assert [len(m) for m in messages] == [300_000] * 30 and end == {}


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_metadata(plain, backend, version):
    headers = [("do-headers", "10"), ("do-trailers", "20"), ("x-mine", "a"), ("connect-protocol-version", "1"),
               ("connect-timeout-ms", "5000")]
    answer = request(plain, version, "/t.Echo/Unary", "application/proto", b"x", headers=headers)
    assert answer["x-large"] == "h" * 10 and answer["trailer-x-large"] == "t" * 20 and answer["trailer-x-end-bin"]
    _, _, end = stream(plain, version, "/t.Echo/Bidi", [b"x"], headers)
    assert end["metadata"]["x-large"] == ["t" * 20]
    for seen in backend.wait_seen(2):
        assert seen.get("x-mine") == "a" and seen.get("connect-protocol-version") is None
        assert 3 < seen.remaining <= 5


def test_deadline(plain, backend):
    answer = request(plain, "h1", "/t.Echo/Unary", "application/proto", b"x",
                     headers=[("do-hang", "1"), ("connect-timeout-ms", "200")])
    assert answer.status == 504 and json.loads(answer.body)["code"] == "deadline_exceeded"
    assert backend.wait_seen()[0].ended.wait(5)


def test_local_statuses_say_whose_they_are(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {method: other.Service/*}, cluster: c}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    answer = request(gate, "h1", "/t.Echo/Unary", "application/proto", b"x")
    error = json.loads(answer.body)
    assert answer.status == 501 and error["code"] == "unimplemented"
    assert answer["x-fusegate-origin"] == "local_no_route"
    assert error["details"][0]["type"] == "google.rpc.ErrorInfo"
    assert b"NO_ROUTE" in base64.b64decode(error["details"][0]["value"] + "==")


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_compression_is_the_endpoints_business(plain, version):
    packed = gzip.compress(b"hello" * 100)
    answer = request(plain, version, "/t.Echo/Unary", "application/proto", packed,
                     headers=[("content-encoding", "gzip"), ("accept-encoding", "gzip"), ("do-gzip", "1")])
    assert answer.status == 200 and answer["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"hello" * 100


@pytest.mark.parametrize("headers", [[("connect-timeout-ms", "x")], [("connect-timeout-ms", "12345678901")],
                                     [("connect-protocol-version", "2")]], ids=["letters", "digits", "version"])
def test_malformed_headers_are_refused(plain, headers):
    answer = request(plain, "h1", "/t.Echo/Unary", "application/proto", b"x", headers=headers)
    assert answer.status == 400 and json.loads(answer.body)["code"] == "invalid_argument"


@pytest.mark.parametrize("version", ["h1", "h2"])
@pytest.mark.parametrize("body, code", [(b"\0\0\0\0\5hell", "invalid_argument"), (b"\0\0", "invalid_argument"),
                                        (b"\7\0\0\0\0", "internal")], ids=["cut", "prefix", "flag"])
def test_malformed_envelopes_are_refused(plain, version, body, code):
    answer = request(plain, version, "/t.Echo/Bidi", STREAM, body)
    assert json.loads(envelopes(answer.body)[-1][1])["error"]["code"] == code


def test_what_is_not_one_message_is_no_unary_answer(plain):
    answer = request(plain, "h1", "/t.Echo/ServerStream", "application/proto", b"x", headers=[("do-count", "2")])
    assert answer.status == 501 and "more than one" in json.loads(answer.body)["message"]
    answer = request(plain, "h1", "/t.Echo/ServerStream", "application/proto", b"x", headers=[("do-count", "0")])
    assert answer.status == 501 and "no message" in json.loads(answer.body)["message"]


def test_a_message_over_the_limit_is_refused(gateway, backend):
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{cluster: c, max_message: 1KiB}]
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)
    assert request(gate, "h1", "/t.Echo/Unary", "application/proto", b"x" * 1024).status == 200
    answer = request(gate, "h1", "/t.Echo/Unary", "application/proto", b"x" * 1025)
    assert answer.status == 429 and "max_message" in json.loads(answer.body)["message"]
    answer = request(gate, "h1", "/t.Echo/ServerStream", "application/proto", b"x", headers=[("do-size", "2000")])
    assert answer.status == 429 and "answer" in json.loads(answer.body)["message"]


def test_only_post_is_allowed(plain):
    answer = request(plain, "h1", "/t.Echo/Unary", "application/proto", method="PUT")
    assert answer.status == 405 and answer["allow"] == "POST"
