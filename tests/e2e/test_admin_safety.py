"""Who gets what at the admin address: the token in both spellings, pages of other sites, the audit log, event streams, and
requests that nobody should send."""
import base64
import gzip
import http.client
import json
import os
import random
import signal
import socket
import time

import pytest

from gateway import ROOT, TIMEOUT, free_port, wait_for
from scripted import answering
from wire import Client

PARTS = ["", *sorted(set(os.listdir(os.path.join(ROOT, "ui"))) - {"index.html"}), "chart.min.js"]
PATHS = ["/", "/dashboard", *(f"/dashboard/{part}" for part in PARTS if part), "/live", "/streams", "/breakers", "/clusters", "/events",
         "/metrics", "/overview", "/healthz", "/readyz", "/nothing"]
BASIC = {"authorization": "Basic " + base64.b64encode(b"alice:s3cret").decode()}
GUARDED = """
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend], breaker: {consecutive_failures: 2}}}
admin: {address: $admin, token: s3cret, audit_log: $audit}
"""


@pytest.fixture
def gate(gateway, backend, tmp_path):
    gate = gateway(GUARDED, backend=backend.address, audit=tmp_path / "audit.log")
    gate.audit = tmp_path / "audit.log"
    return gate


def ask(gate, path, method="GET", **headers):
    """(status, headers, body)"""
    host, port = gate.admin.rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = b"" if answer.headers["content-type"] == "text/event-stream" else answer.read()
    connection.close()
    return answer.status, answer.headers, body


def audit_lines(gate):
    return [json.loads(line) for line in gate.audit.read_text().splitlines()]


# ---- who ----

@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_told_without_the_token(gate, path):
    for headers in ({}, {"authorization": "Basic " + base64.b64encode(b"s3cret:wrong").decode()}, {"authorization": "Bearer wrong"}):
        status, fields, body = ask(gate, path, accept="text/html", **headers)
        assert status == 401 and b"<" not in body and b"{" not in body
        assert fields.get_all("www-authenticate") == ["Bearer", 'Basic realm="fusegate", charset="UTF-8"']
    for headers in (BASIC, {"authorization": "Bearer s3cret"}):
        status, fields, _ = ask(gate, path, **headers)
        assert status == (404 if path == "/nothing" else 200)
        assert fields["x-content-type-options"] == "nosniff" and fields["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in fields["content-security-policy"] and "frame-ancestors 'none'" in fields["content-security-policy"]


def test_others_reach_nothing_without_the_token(gateway, backend, tmp_path):
    """On an address that is not loopback: it does not start without a token (test_check), and has nothing without it."""
    gate = gateway(GUARDED.replace("$admin", '"$everywhere"'), backend=backend.address, audit=tmp_path / "audit.log",
                   everywhere="0.0.0.0:" + str(port := free_port()))
    gate.admin = f"127.0.0.1:{port}"
    for path in PATHS:
        assert ask(gate, path)[0] == 401 and ask(gate, path, host="gate.example:9901")[0] == 401
    assert ask(gate, "/streams/kill?id=0-1", "POST")[0] == 401
    assert ask(gate, "/dashboard", host="gate.example:9901", **BASIC)[0] == 200


def test_the_page_comes_compressed_and_once(gate):
    for part in PARTS[1:-1]:
        wanted = open(os.path.join(ROOT, "ui", part), "rb").read()
        status, plain, body = ask(gate, f"/dashboard/{part}", **BASIC)
        assert status == 200 and body == wanted and "content-encoding" not in plain
        status, packed, body = ask(gate, f"/dashboard/{part}", accept_encoding="br, gzip", **BASIC)
        assert status == 200 and gzip.decompress(body) == wanted and packed["content-encoding"] == "gzip"
        assert plain["etag"] != packed["etag"] and plain["vary"] == packed["vary"] == "accept-encoding"
        assert ask(gate, f"/dashboard/{part}", if_none_match=plain["etag"], **BASIC)[0] == 304
        assert ask(gate, f"/dashboard/{part}", if_none_match=packed["etag"], accept_encoding="gzip", **BASIC)[0] == 304
        assert ask(gate, f"/dashboard/{part}", if_none_match=packed["etag"], **BASIC)[0] == 200
    assert b"Chart.js v3" in ask(gate, "/dashboard/chart.min.js", **BASIC)[2][:200]
    for path in ("/dashboard/nothing", "/dashboard/../streams", "/dashboard/index.html", "/dashboard/%61pp.js", "/dashboard//app.js"):
        assert ask(gate, path, **BASIC)[0] == 404, path
    assert ask(gate, "/", accept="text/html", **BASIC)[1]["location"] == "./dashboard"
    assert b"/streams" in ask(gate, "/", accept="*/*", **BASIC)[2], "scripts get the list"
    assert ask(gate, "/dashboard/", **BASIC)[1]["location"] == "../dashboard"


def test_a_page_of_another_site_does_nothing(gate, backend):
    client = Client(gate)
    client.start("/t.Echo/Bidi")
    backend.wait_seen()
    call = gate.json("/streams")["streams"][0]["id"]
    path = f"/streams/kill?id={call}"
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"http://{gate.admin}1"}, {"sec_fetch_site": "cross-site"},
                    {"sec_fetch_site": "same-site"}, {"origin": f"http://{gate.admin}", "sec_fetch_site": "cross-site"}):
        assert ask(gate, path, "POST", **headers, **BASIC)[0] == 403, headers
        assert audit_lines(gate)[-1]["result"] == "refused: foreign page" and audit_lines(gate)[-1]["user"] == "alice"
    assert ask(gate, path, "POST", host="evil.example:80", **BASIC)[0] == 403
    assert ask(gate, path, "POST")[0] == 401
    assert [line["result"] for line in audit_lines(gate)[-2:]] == ["refused: foreign host", "refused: no token"]
    assert ask(gate, "/streams", sec_fetch_site="cross-site", sec_fetch_mode="no-cors", **BASIC)[0] == 403
    assert gate.json("/streams")["total"] == 1
    assert ask(gate, path, "POST", origin=f"http://{gate.admin}", sec_fetch_site="same-origin", **BASIC)[0] == 200
    assert [(line["result"], line["user"], line["target"]) for line in audit_lines(gate)[-2:]] == \
        [("begun", "alice", f"id={call}"), ("done", "alice", f"id={call}")]


# ---- the audit log ----

def test_nothing_is_done_that_cannot_be_told(gateway, backend):
    gate = gateway(GUARDED, backend=backend.address, audit="/dev/full")
    client = Client(gate)
    client.start("/t.Echo/Bidi")
    backend.wait_seen()
    call = gate.json("/streams")["streams"][0]["id"]
    status, _, body = ask(gate, f"/streams/kill?id={call}", "POST", **BASIC)
    assert status == 503 and b"audit log" in body
    assert gate.json("/streams")["total"] == 1 and "audit log /dev/full cannot be written" in gate.errors()


def test_an_audit_log_that_was_moved_is_opened_anew(gate):
    assert ask(gate, "/streams/kill?id=0-1", "POST", **BASIC)[0] == 404
    assert ask(gate, "/streams/kill", "POST", authorization="Bearer s3cret")[0] == 400
    assert [line["result"] for line in audit_lines(gate)] == ["begun", "failed: not found", "begun", "failed: bad request"]
    assert [line["user"] for line in audit_lines(gate)] == ["alice", "alice", "", ""]
    assert gate.audit.stat().st_mode & 0o7137 == 0
    gate.audit.rename(f"{gate.audit}.1")
    gate.process.send_signal(signal.SIGHUP)

    def again():
        assert ask(gate, "/streams/kill?id=0-1", "POST", **BASIC)[0] == 404
        return gate.audit.exists()
    wait_for("a new file", again)
    assert audit_lines(gate)[-1]["result"] == "failed: not found"


# ---- /live ----

class Listener:
    """Reads /live as a browser does."""

    def __init__(self, gate, query="", **headers):
        host, port = gate.admin.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT)
        self.connection.request("GET", "/live" + query, headers={**BASIC, **{name.replace("_", "-"): value for name, value in headers.items()}})
        self.answer = self.connection.getresponse()
        self.last_id = None

    def event(self):
        """The next one: (name, data)."""
        name, data = "message", []
        while True:
            line = self.answer.readline().decode()
            assert line.endswith("\n"), "it has ended"
            field, _, value = line[:-1].partition(": ")
            if not field:
                if data:
                    return name, json.loads("\n".join(data))
                name, data = "message", []
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = value
            else:
                assert field == "retry" and value.isdigit(), line

    def until(self, name):
        while True:
            got, data = self.event()
            if got == name:
                return data

    def close(self):
        self.connection.close()


def test_events_come_as_they_happen_and_go_on_where_they_stopped(gateway, scripted, tmp_path):
    gate = gateway(GUARDED, backend=scripted(answering(code=14)).address, audit=tmp_path / "audit.log")
    client = Client(gate)

    def fail(method):
        for _ in range(3):
            client.until_end(client.start(method, end=True))
    first = Listener(gate, "?streams=1&limit=5")
    assert first.answer.headers["content-type"] == "text/event-stream" and first.answer.headers["cache-control"] == "no-store"
    assert first.until("breakers")["open"]["breakers"] == [] and first.until("overview")["pid"] == gate.process.pid
    cluster = first.until("clusters")["clusters"][0]
    assert cluster["name"] == "c" and "methods" not in cluster["endpoints"][0], "they come with the breakers"
    assert first.until("streams")["total"] == 0
    fail("/a.A/A")
    event = first.until("event")
    assert (event["to"], event["from"]) == ("open", "closed")
    assert first.until("breakers")["open"]["breakers"], "a picture follows each change"
    known = {one["seq"] for one in gate.json("/events")["events"]}
    late = Listener(gate)
    assert late.until("past")["seq"] == min(known)
    wait_for("all events", lambda: first.last_id and int(first.last_id.split("-")[1]) == max(known) + 1 or first.until("event"))
    first.close()
    again = Listener(gate, last_event_id=first.last_id)
    names = [again.event()[0] for _ in range(5)]
    assert "past" not in names and "event" not in names, "it knows them all"
    other = Listener(gate, last_event_id="1234-5")
    assert other.until("past")["seq"] == min(known), "another gateway counted these"
    assert ask(gate, "/live?streams=2", **BASIC)[0] == 400 and ask(gate, "/live?streams=1&limit=x", **BASIC)[0] == 400
    assert ask(gate, "/live", "HEAD", **BASIC)[0] == 200


def test_who_reads_slowly_holds_up_nobody(gate):
    """Seven take nothing of what they asked for; the eighth and everybody else are served; a ninth is refused."""
    slow = []
    for _ in range(7):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        host, port = gate.admin.rsplit(":", 1)
        sock.connect((host, int(port)))
        sock.sendall(f"GET /live?streams=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: {BASIC['authorization']}\r\n\r\n".encode())
        assert sock.recv(12) == b"HTTP/1.1 200"
        slow.append(sock)
    quick = Listener(gate)
    assert ask(gate, "/live", **BASIC)[0] == 503
    for _ in range(3):
        quick.until("overview")
        assert ask(gate, "/healthz", **BASIC)[0] == 200
    for sock in slow:
        sock.close()
    quick.close()
    wait_for("room", lambda: ask(gate, "/live", **BASIC)[0] == 200)


# ---- requests that nobody should send ----

SEEDS = [b"GET /streams?method=a*&wait=gate&sort=age&limit=3&offset=1&min_age_ms=5&peer=1.2.3.4:5 HTTP/1.1", b"GET /breakers?state=open&limit=2&cluster=c HTTP/1.1",
         b"GET /breakers/c/127.0.0.1%3a1?method=%2ft.Echo/Unary HTTP/1.1", b"POST /streams/kill?id=0-1 HTTP/1.1", b"GET /overview?history=3&methods=2 HTTP/1.1",
         b"GET /events?since=0 HTTP/1.1", b"GET /dashboard/app.js HTTP/1.1", b"HEAD /clusters HTTP/1.1", b"GET /live?streams=1&limit=7 HTTP/1.1"]
FIELDS = [b"host: localhost", b"authorization: " + BASIC["authorization"].encode(), b"accept: text/html", b"accept-encoding: gzip", b"if-none-match: \"x\"",
          b"last-event-id: 0-1", b"origin: http://localhost", b"sec-fetch-site: same-origin", b"connection: close", b"content-length: 0"]
PIECES = [b"%", b"%00", b"%ff", b"%zz", b"..", b"/", b"//", b"?", b"&", b"=", b"*", b"18446744073709551616", b"-1", b"0x10", b"1e9", b"\x00", b"\r\n",
          b"\r", b"\n", b" ", b"\t", b"\xff", "ä".encode(), b"<script>", b"'\"", b"A" * 700, b"A" * 17000, b":", b",", b";", b"#", b"\\", b"+"]


def mangle(chance):
    lines = [chance.choice(SEEDS), *chance.sample(FIELDS, chance.randrange(len(FIELDS)))]
    if chance.random() < 0.8 and FIELDS[1] not in lines:
        lines.append(FIELDS[1])
    text = bytearray(b"\r\n".join(lines) + b"\r\n\r\n")
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        at = chance.randrange(min(len(text), 120)) if chance.random() < 0.7 else chance.randrange(len(text))
        kind = chance.randrange(4)
        if kind == 0:
            text[at:at] = chance.choice(PIECES)
        elif kind == 1:
            del text[at:at + chance.randrange(1, 9)]
        elif kind == 2:
            text[at] = chance.randrange(256)
        else:
            text[at:at + chance.randrange(9)] = text[chance.randrange(len(text)):][:9]
    return bytes(text)


def read_answer(sock):
    """What came until the end, or until there is no more for now."""
    sock.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        try:
            chunk = sock.recv(1 << 16)
        except ConnectionError:
            return got
        if not chunk:
            return got
        got += chunk
        if b"text/event-stream" in got:
            return got


def test_mangled_requests_are_answered_or_closed(gate):
    """Always an answer in HTTP or a closed connection; JSON is always valid; nothing is ended, and the process lives."""
    chance, statuses = random.Random(6), {}
    host, port = gate.admin.rsplit(":", 1)
    end = time.monotonic() + 60
    for i in range(1500):
        request = mangle(chance)
        with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
            try:
                sock.sendall(request)
                got = read_answer(sock)
            except (BrokenPipeError, ConnectionResetError, OSError):
                got = b""
        if got:
            head, _, body = got.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            assert head.startswith(b"HTTP/1.1 ") and status in (200, 302, 304, 400, 401, 403, 404, 405, 413, 431, 501, 505), (request, head)
            assert b"nosniff" in head, (request, head)
            if b"application/json" in head and status == 200 and body and head.count(b"HTTP/1.1") == 1 and b"chunked" not in head:
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                json.loads(body[:length])
            statuses[status] = statuses.get(status, 0) + 1
        if time.monotonic() > end:
            break
    assert gate.process.poll() is None and ask(gate, "/healthz", **BASIC)[0] == 200
    assert {200, 400, 401, 404} <= set(statuses) and i > 300, statuses
    assert all(line["result"] != "done" for line in audit_lines(gate))
