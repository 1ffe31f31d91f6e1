"""Calls from pages in browsers: preflights, and who may read the answers."""
import pytest

from faces import envelope, request
from gateway import run_command

PAGE = "https://shop.example"


@pytest.fixture
def gate(gateway, backend):
    return gateway("""
listeners: [{address: $listen}]
routes:
- match: {method: t.Echo/Unary}
  cluster: c
  cors: {origins: [https://shop.example, "http://localhost:3000"], credentials: true, max_age: 5m}
- match: {method: t.Echo/Bidi}
  cluster: c
  cors: {origins: ["*"]}
- cluster: c
clusters: {c: {endpoints: [$backend]}}
""", backend=backend.address)


def preflight(gate, version, path, origin, **more):
    headers = [("origin", origin), ("access-control-request-method", "POST"),
               ("access-control-request-headers", "content-type,x-grpc-web")]
    return request(gate, version, path, "text/plain", method="OPTIONS", headers=headers, **more)


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_a_preflight_is_answered(gate, version):
    answer = preflight(gate, version, "/t.Echo/Unary", PAGE)
    assert answer.status == 204 and answer.body == b""
    assert answer["access-control-allow-origin"] == PAGE and answer["vary"] == "origin"
    assert answer["access-control-allow-headers"] == "content-type,x-grpc-web"
    assert "POST" in answer["access-control-allow-methods"] and answer["access-control-max-age"] == "300"
    assert answer["access-control-allow-credentials"] == "true"
    assert preflight(gate, version, "/t.Echo/Bidi?x=1", "http://any.example")["access-control-allow-origin"] == "*"
    assert preflight(gate, "h1", "/t.Echo/Unary", PAGE, body=b"content nobody wants").status == 204
    assert gate.metric("cors_preflights_total") == 3


def test_another_origin_is_refused(gate):
    answer = preflight(gate, "h1", "/t.Echo/Unary", "https://evil.example")
    assert answer.status == 403 and answer["access-control-allow-origin"] is None
    assert preflight(gate, "h1", "/t.Echo/ServerStream", PAGE).status == 415  # a route without cors


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_the_page_may_read_the_answer(gate, version):
    for kind, body in (("application/grpc-web", envelope(b"x")), ("application/proto", b"x"),
                       ("application/connect+proto", envelope(b"x"))):
        answer = request(gate, version, "/t.Echo/Unary", kind, body,
                         headers=[("origin", PAGE), ("do-headers", "3"), ("do-trailers", "3")])
        assert answer.status == 200 and answer["access-control-allow-origin"] == PAGE
        exposed = answer["access-control-expose-headers"].split(", ")
        assert "grpc-status" in exposed and "x-large" in exposed
        other = request(gate, version, "/t.Echo/Unary", kind, body, headers=[("origin", "https://evil.example")])
        assert other.status == 200 and other["access-control-allow-origin"] is None
    refused = request(gate, version, "/t.Echo/Unary", "application/proto", b"x",
                      headers=[("origin", PAGE), ("do-code", "NOT_FOUND")])
    assert refused.status == 404 and refused["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_caches_keep_the_answers_of_origins_apart(gate, version):
    """Whoever asks: what a cache keeps of an answer without CORS must not be given to a page that may read it."""
    for headers in ([("origin", PAGE)], [("origin", "https://evil.example")], []):
        answer = request(gate, version, "/t.Echo/Unary", "application/proto", b"x", headers=headers)
        assert answer.status == 200 and answer["vary"] == "origin", headers
    preflight_of_another = preflight(gate, version, "/t.Echo/Unary", "https://evil.example")
    assert preflight_of_another.status == 403 and preflight_of_another["vary"] == "origin"
    for path in ("/t.Echo/Bidi", "/t.Echo/ClientStream"):  # any page may read; none may
        answer = request(gate, version, path, "application/connect+proto", envelope(b"x"), headers=[("origin", PAGE)])
        assert answer.status == 200 and answer["vary"] is None


@pytest.mark.parametrize("cors, message", [
    ("{origins: [https://shop.example/]}", "scheme://host"),
    ("{origins: [shop.example]}", "scheme://host"),
    ("{origins: ['*', 'https://a']}", "beside other origins"),
    ("{origins: ['*'], credentials: true}", "any page could act"),
])
def test_contradictions_are_refused(tmp_path, cors, message):
    path = tmp_path / "gateway.yaml"
    path.write_text(f"""listeners: [{{address: 127.0.0.1:1}}]
routes: [{{cluster: c, cors: {cors}}}]
clusters: {{c: {{endpoints: [127.0.0.1:2]}}}}
""")
    done = run_command("check", "-c", str(path))
    assert done.returncode == 3 and message in done.stderr and ":2:" in done.stderr, done.stderr
