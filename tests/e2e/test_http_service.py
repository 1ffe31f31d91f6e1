"""Services that speak plain HTTP: requests and answers as they are, with the gateway's policies."""
import http.server
import json
import socket
import subprocess
import threading

import pytest

from faces import VERSIONS, request
from gateway import TIMEOUT, free_port, wait_for


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def content(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        content = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            content += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return content

    def answer(self):
        content = self.content()
        self.server.seen.append((self.command, self.path, dict((k.lower(), v) for k, v in self.headers.items()), content,
                                 self.client_address))
        status = int(self.headers.get("do-status") or 200)
        size = self.headers.get("do-size")
        body = b"b" * int(size) if size else content or b"hello"
        if self.headers.get("do-cut"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
            self.close_connection = True
            return
        if self.headers.get("do-close"):
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("x-path", self.path)
        if self.headers.get("do-chunked"):
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for i in range(0, len(body), 10000):
                piece = body[i:i + 10000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\nx-end: yes\r\n\r\n")
        elif status in (204, 304):
            self.end_headers()
        elif self.headers.get("do-until-close"):
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True
        else:
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = answer


class Service(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen = []
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    def handle_error(self, *_):
        pass

    def close(self):
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture
def gate(gateway, service):
    return gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {enabled: false}}}
""", service=service.address)


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_and_answers_as_they_are(gate, service, version):
    for method, body in (("GET", b""), ("POST", b"content"), ("PUT", b"x" * 300_000), ("DELETE", b"")):
        answer = request(gate, version, "/a/b?c=d", "text/plain", body, method, [("x-mine", "1")])
        assert answer.status == 200 and answer.body == (body or b"hello") and answer["x-path"] == "/a/b?c=d"
        seen = service.seen[-1]
        assert seen[0] == method and seen[2]["x-mine"] == "1" and seen[3] == body
        assert seen[2]["host"] == gate.address and "te" not in seen[2] and "grpc-timeout" not in seen[2]
    assert len({seen[4] for seen in service.seen}) == 1, "one connection is kept"


@pytest.mark.parametrize("version", VERSIONS)
def test_framings(gate, version):
    for headers in ([("do-chunked", "1")], [("do-until-close", "1")], [("transfer-encoding", "chunked")][:version == "h1"]):
        for size in (1, 20_000, 3_000_000):
            answer = request(gate, version, "/", "text/plain", b"m" * size, "POST", headers)
            end = b"x-end: yes\r\n" if headers == [("do-chunked", "1")] else b""  # curl prints trailers after the content
            assert answer.status == 200 and answer.body == b"m" * size + end


@pytest.mark.parametrize("version", VERSIONS)
def test_answers_without_content(gate, version):
    done = subprocess.run(["curl", "-sS", "-I", VERSIONS[version], f"http://{gate.address}/x"], capture_output=True,
                          check=True, timeout=TIMEOUT)
    assert b"200" in done.stdout and b"content-length: 5" in done.stdout
    for status in (204, 304):
        answer = request(gate, version, "/", "text/plain", b"", "GET", [("do-status", str(status))])
        assert answer.status == status and answer.body == b""


@pytest.mark.parametrize("version", VERSIONS)
def test_every_status_goes_through_and_is_the_outcome(gate, version):
    codes = {200: "OK", 302: "OK", 400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 418: "FAILED_PRECONDITION",
             429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 599: "UNKNOWN"}
    for status in codes:
        assert request(gate, version, "/", "text/plain", b"", "GET", [("do-status", str(status))]).status == status
    for code in codes.values():
        assert gate.metric("calls_total", code=code, source="upstream_http") >= 1, code


def test_a_large_answer_flows(gate):
    answer = request(gate, "h1", "/", "text/plain", b"", "GET", [("do-size", "30000000")])
    assert len(answer.body) == 30_000_000


def test_a_breaker_opens_by_the_status(gateway, service):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1, breaker: {consecutive_failures: 3, open_for: 60s}}}
""", service=service.address)
    for _ in range(3):
        assert request(gate, "h1", "/x", "text/plain", b"", "GET", [("do-status", "500")]).status == 500
    answer = request(gate, "h1", "/x", "text/plain", b"", "GET")
    error = json.loads(answer.body)
    assert answer.status == 503 and answer["x-fusegate-origin"] == "local_breaker" and answer["retry-after"]
    assert error["code"] == 14 and error["status"] == "UNAVAILABLE"
    assert error["details"][0]["reason"] == "BREAKER_OPEN" and error["details"][0]["metadata"]["endpoint"]
    assert len(service.seen) == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_an_answer_that_is_cut_is_cut_for_the_client(gate, version):
    done = subprocess.run(["curl", "-sS", VERSIONS[version], "-H", "do-cut: 1", f"http://{gate.address}/"],
                          capture_output=True, check=False, timeout=TIMEOUT)
    assert done.returncode in (18, 92, 56), done.stderr
    assert gate.metric("calls_total", code="UNAVAILABLE", source="upstream_connection") == 1


def test_a_kept_connection_that_has_ended_costs_no_get_and_doubles_no_post(gate, service):
    """The endpoint closes without an answer: a GET is tried on another connection, a POST is not."""
    request(gate, "h1", "/", "text/plain", b"", "GET")
    assert request(gate, "h1", "/", "text/plain", b"x", "POST", [("do-close", "1")]).status == 503
    assert [seen[0] for seen in service.seen] == ["GET", "POST"]
    request(gate, "h1", "/", "text/plain", b"", "GET")
    assert request(gate, "h1", "/", "text/plain", b"", "GET", [("do-close", "1")]).status == 503
    assert [seen[0] for seen in service.seen] == ["GET", "POST", "GET", "GET", "GET"]


def test_nobody_listens(gateway):
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$none], service: http, protocol: h1}}
""", none=f"127.0.0.1:{free_port()}")
    answer = request(gate, "h1", "/", "text/plain", b"", "GET")
    assert answer.status == 503 and answer["x-fusegate-origin"] == "local_connect"


def test_a_client_that_leaves_ends_the_connection_to_the_endpoint(gateway):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gate = gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$service], service: http, protocol: h1}}
""", service=f"127.0.0.1:{listener.getsockname()[1]}")
        with subprocess.Popen(["curl", "-sS", f"http://{gate.address}/"], stderr=subprocess.DEVNULL) as client:
            upstream, _ = listener.accept()
            with upstream:
                upstream.settimeout(TIMEOUT)
                assert upstream.recv(4096).startswith(b"GET / HTTP/1.1\r\n")
                client.kill()
                assert upstream.recv(4096) == b""
        wait_for("the call ends", lambda: gate.metric("calls_total", code="CANCELLED", source="client_gone") == 1)


def test_the_same_service_over_http2(gateway, backend):
    """A gRPC service behind `service: http` is HTTP/2 with trailers like any other."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {web: {endpoints: [$backend], service: http}}
""", backend=backend.address)
    with gate.channel() as channel:
        call = channel.unary_unary("/t.Echo/Unary")
        assert call(b"through", timeout=TIMEOUT) == b"through"
