"""Requests over HTTP/1 as we read them and as python3-h11 does: both take the same ones, and read them as the same
method, target, fields, content and trailers. Where they do not, the difference is a row of STRICTER or LOOSER, with the
section that allows it. h1_events (tests/unit/h1) does our reading."""
import json
import os
import pathlib
import re
import struct
import subprocess
import urllib.parse

import h11
import pytest
from hypothesis import HealthCheck, event, example, given, settings, strategies as st

ROOT = pathlib.Path(__file__).resolve().parents[2]
NEEDS_MORE = "needs more"  # neither refused nor whole

# ---- what we refuse and h11 takes: our fault, where it may show, the section, an example ----


def head_of(wire):
    return re.split(rb"\n\r?\n", wire, maxsplit=1)[0]


def behind_head(wire):
    return (re.split(rb"\n\r?\n", wire, maxsplit=1) + [b""])[1]


def in_head(pattern):
    return lambda wire: re.search(pattern, head_of(wire), re.I) is not None


def in_first_line(pattern):
    return lambda wire: re.search(pattern, wire.lstrip(b"\r\n").split(b"\n")[0]) is not None


def in_content(pattern):
    return lambda wire: re.search(pattern, behind_head(wire), re.I) is not None


BARE_LF = rb"(^|[^\r])\n"
FORBIDDEN = (b"content-length|transfer-encoding|host|te|trailer|connection|proxy-connection|keep-alive|upgrade|"
             b"http2-settings|expect|authorization")
CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
STRICTER = {
    "a line feed alone in the head": ("LINE", lambda wire: re.search(BARE_LF, wire), "RFC 9112 section 2.2, MAY",
                                      b"GET / HTTP/1.1\nhost: a\r\n\r\n"),
    "a line feed alone among trailers": ("TRAILER", in_content(BARE_LF), "RFC 9112 section 2.2, MAY",
                                         CHUNKED + b"0\r\nx: 1\n\r\n"),
    "a fragment in the target": ("TARGET", in_first_line(rb"#"), "RFC 9112 section 3.2, no fragment in any form",
                                 b"GET /a#b HTTP/1.1\r\nhost: a\r\n\r\n"),
    "a target that is no path of ours": ("TARGET_FORM", in_first_line(rb"^(\S+ [^/]|CONNECT )"),
                                         "RFC 9112 section 3.2, its four forms; we are no tunnel",
                                         b"GET a HTTP/1.1\r\nhost: a\r\n\r\n"),
    "a host with more than a host": ("HOST", in_head(rb"\nhost:[ \t]*[^\r\n]*[^-\w.:\r\n\[\]]"),
                                     "RFC 9112 section 3.2, an invalid field value MUST be refused",
                                     b"GET / HTTP/1.1\r\nhost: a/b\r\n\r\n"),
    "a host that is not that of the target": ("HOST", in_first_line(rb"(?i)^\S+ https?://"),
                                              "RFC 9112 section 3.2.2 lets the target win; two readings",
                                              b"GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n"),
    "another version": ("VERSION", in_first_line(rb"HTTP/(?!1\.[01]\r)"), "RFC 9110 section 15.6.6",
                        b"GET / HTTP/1.2\r\nhost: a\r\n\r\n"),
    "a folded field": ("FOLDED_FIELD", in_head(rb"\n[ \t]"), "RFC 9112 section 5.2, MUST reject or replace",
                       b"GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n"),
    "a folded trailer": ("TRAILER", in_content(rb"\n[ \t]"), "RFC 9112 section 5.2",
                         CHUNKED + b"0\r\nx: 1\r\n y\r\n\r\n"),
    "a control character in a value": ("FIELD_VALUE", in_head(rb"[\x01-\x08\x0e-\x1f\x7f]"), "RFC 9110 section 5.5",
                                       b"GET / HTTP/1.1\r\nhost: a\r\nx: \x01\r\n\r\n"),
    "a control character in a trailer": ("TRAILER", in_content(rb"[\x01-\x08\x0e-\x1f\x7f]"), "RFC 9110 section 5.5",
                                         CHUNKED + b"0\r\nx: \x01\r\n\r\n"),
    "the same content-length twice": ("LENGTH_TWICE", in_head(rb"\ncontent-length:.*\ncontent-length:"),
                                      "RFC 9110 section 8.6, MAY",
                                      b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n"),
    "a list of equal content-lengths": ("LENGTH", in_head(rb"\ncontent-length:[^\n]*,"), "RFC 9110 section 8.6, MAY",
                                        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0, 0\r\n\r\n"),
    "content-length beyond 18 digits": ("LENGTH", in_head(rb"\ncontent-length:[^\n]*\d{19}"),
                                        "RFC 9110 section 8.6, no overflow",
                                        b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0000000000000000000\r\n\r\n"),
    "content-length and chunks": ("LENGTH_AND_CHUNKED", in_head(rb"\ncontent-length:"), "RFC 9112 section 6.3, MAY",
                                  CHUNKED[:-2] + b"content-length: 3\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": ("TRANSFER_ENCODING", in_first_line(rb"HTTP/1.0"), "RFC 9112 section 6.1, faulty framing",
                           b"GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "another expectation": ("EXPECTATION", in_head(rb"\nexpect:"), "RFC 9110 section 10.1.1, MAY",
                            b"GET / HTTP/1.1\r\nhost: a\r\nexpect: x\r\n\r\n"),
    "a control character in an extension": ("CHUNK_SIZE", in_content(rb"[;][^\n]*[\x00-\x08\x0b-\x1f\x7f]"),
                                            "RFC 9112 section 7.1.1, tokens and quoted strings",
                                            CHUNKED + b"1;\x01\r\na\r\n0\r\n\r\n"),
    "a chunk size of more digits": ("CHUNK_SIZE", in_content(rb"[0-9a-f]{16}"), "RFC 9112 section 7.1, no overflow",
                                    CHUNKED + b"00000000000000001\r\na\r\n0\r\n\r\n"),
    "a trailer about the message or the connection": ("TRAILER", in_content(rb"\n(" + FORBIDDEN + rb"):"),
                                                      "RFC 9110 section 6.5.1", CHUNKED + b"0\r\nte: a\r\n\r\n"),
}

# ---- what we take and h11 refuses: where it may show, the section, an example ----

LOOSER = {
    "an empty line before a request": (lambda wire: wire.startswith(b"\r\n"), "RFC 9112 section 2.2, SHOULD",
                                       b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
    "white space before an extension": (in_content(rb"[0-9a-f][ \t]+;"), "RFC 9112 section 7.1.1, BWS",
                                        CHUNKED + b"1 ;a\r\nb\r\n0\r\n\r\n"),
}

# ---- both readers ----


class Reader:
    """Ours."""

    def __init__(self):
        build = pathlib.Path(os.environ.get("FUSEGATE_BIN", ROOT / "build-asan" / "fusegate")).parent
        self.path = build / "tests" / "unit" / "h1" / "h1_events"
        if not self.path.exists():
            pytest.skip("h1_events is not built")
        self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, wire, piece=0):
        self.process.stdin.write(struct.pack("<II", len(wire), piece) + wire)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "h1_events has died"
        answer = json.loads(line)
        return answer["fault"], message_of(answer["events"])

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
        self.process.stdout.close()


def fields_of(words):
    return [tuple(urllib.parse.unquote_to_bytes(part) for part in word.split("=", 1)) for word in words]


def message_of(events):
    """(head, content, trailers, is whole); the head is None until it is there."""
    head, content, trailers, whole = None, b"", [], False
    for line in events:
        kind, _, rest = line.partition(" ")
        if kind == "DATA":
            _, data, end = rest.split('"')
            content += urllib.parse.unquote_to_bytes(data)
            whole |= end == " end"
        elif kind in ("HEAD", "TRAILERS"):
            words = rest.split(" ")
            whole |= words[0] == "end"
            fields = fields_of(words[words[0] == "end":])
            head, trailers = (fields, trailers) if kind == "HEAD" else (head, fields)
    return head, content, trailers, whole


OF_THE_CONNECTION = {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade",
                     b"http2-settings", b"expect", b"te", b"host"}


def canonical(request):
    """What h11 has read, as a list with pseudo-headers."""
    options = {option.strip(b" \t").lower() for name, value in request.headers if name == b"connection"
               for option in value.split(b",")}
    authority = dict(request.headers).get(b"host", b"")
    path = request.target
    absolute = re.match(rb"(?i)https?://([^/?]*)(.*)", path)
    if absolute:
        authority, path = absolute[1], absolute[2] or b"/"
    head = [(b":method", request.method), (b":scheme", b"http"), (b":authority", authority), (b":path", path)]
    return [(name, value) for name, value in head if value] + [
        (name, value) for name, value in request.headers if name not in OF_THE_CONNECTION | options]


def read_by_h11(wire):
    """A message as above, or None: refused."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(wire)
    head, content, trailers = None, b"", []
    try:
        while True:
            got = connection.next_event()
            if isinstance(got, h11.Request):
                head = canonical(got)
            elif isinstance(got, h11.Data):
                content += bytes(got.data)
            elif isinstance(got, h11.EndOfMessage):
                return head, content, list(got.headers), True
            else:
                return head, content, trailers, False
    except h11.RemoteProtocolError:
        return None


# ---- requests ----

def mostly(usual, odd, times):
    """One of USUAL, and an ODD one once in TIMES. A request has some ten places; most have to be usual, or nearly all
    requests would be refused at once."""
    return st.sampled_from(range(times)).flatmap(lambda n: st.sampled_from(usual if n else odd))


METHODS = mostly([b"GET", b"POST", b"HEAD", b"x!~"], [b"CONNECT", b"OPTIONS", b"", b"G T", b"G@T"], 30)
TARGETS = mostly([b"/", b"/a?b=c", b"http://a/b", b"HTTP://a", b"https://a?q", b"/%20;,", b"//"],
                 [b"*", b"http://b/", b"a:1", b"/a#b", b"/a b", b"/\x80", b"", b"http://", b"/\x7f"], 20)
VERSIONS = mostly([b"HTTP/1.1"], [b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.", b"HTTP/1.1 ", b""], 20)
NEWLINE = mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n", b"\n\r\n"], 100)
NAMES = mostly([b"x-a", b"X-A", b"Connection", b"cookie", b"te", b"upgrade", b"keep-alive", b"trailer", b"authorization"],
               [b"expect", b"content-length", b"Transfer-Encoding", b"Host", b"x y", b"", b"x(", b"x ", b" x"], 20)
VALUES = st.one_of(
    mostly([b"", b"a", b"a b", b"close", b"keep-alive, x-a", b"X-A", b"\xc3\xa9", b"a\tb", b"3", b"chunked"],
           [b"100-continue", b"Chunked", b"gzip, chunked", b"chunked, chunked", b"0", b"+3", b"3, 3", b"03", b"0x3", b"a, b",
            b"a:80", b"a@b", b"a\x01", b"a\x0b", b"a\x00", b"a\x7f", b"a\rb", b"1" * 19], 15),
    st.text("abc,;=\"\\ :", max_size=6).map(str.encode))
SPACE = mostly([b" "], [b"", b"\t", b"  ", b" \t "], 4)


@st.composite
def fields(draw, most):
    lines = draw(st.lists(st.tuples(NAMES, SPACE, VALUES, SPACE, NEWLINE), max_size=most))
    return b"".join(name + b":" + before + value + after + newline for name, before, value, after, newline in lines)


EXTENSIONS = mostly([b"", b"", b";a", b";a=b", b';a="b;"', b";\x80", b" ", b"\t"],
                    [b" ;a", b";a\x01", b" 5", b";a\rb", b","], 20)
SIZES = mostly([b"%x", b"%X", b"0%x", b"000000000000%x"], [b"0000000000000000%x", b"0x%x", b"+%x", b"%xg", b" %x", b""], 30)


@st.composite
def chunks(draw):
    text = b""
    for content in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        length = max(0, len(content) + draw(mostly([0], [1, -1], 40)))
        size = draw(SIZES)
        text += (size % length if size else b"") + draw(EXTENSIONS) + draw(NEWLINE) + content + draw(NEWLINE)
    return text + draw(st.sampled_from([b"0", b"000", b"0;x"])) + draw(NEWLINE) + draw(fields(2)) + draw(NEWLINE)


@st.composite
def requests(draw):
    head = draw(mostly([b""], [b"\r\n", b"\n", b"\r"], 40))
    head += draw(METHODS) + b" " + draw(TARGETS) + b" " + draw(VERSIONS) + draw(NEWLINE)
    head += draw(mostly([b"host: a\r\n", b"Host:a\r\n"], [b"", b"host: a\r\nhost: a\r\n"], 40))
    framing = draw(st.sampled_from(["chunked", "length", "none"]))
    if framing == "chunked":
        return head + b"transfer-encoding: chunked\r\n" + draw(fields(3)) + draw(NEWLINE) + draw(chunks())
    content = draw(st.binary(max_size=20)) if framing == "length" else b""
    length = b"content-length: %d\r\n" % len(content) if framing == "length" else b""
    return head + draw(fields(4)) + length + draw(NEWLINE) + content


@st.composite
def mutated(draw):
    wire = bytearray(draw(requests()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(wire)))
        how = draw(st.sampled_from(["replace", "insert", "delete", "cut"]))
        byte = draw(st.sampled_from(list(b"\r\n \t:;,0aA#\x00\x01\x7f\xff")))
        if how == "replace":
            wire[at:at + 1] = [byte]
        elif how == "insert":
            wire[at:at] = [byte]
        elif how == "delete":
            del wire[at:at + draw(st.integers(1, 3))]
        else:
            del wire[at:]
    return bytes(wire)


# ---- the tests ----


@pytest.fixture(scope="module")
def reader():
    reader = Reader()
    yield reader
    reader.close()


def compare(reader, wire, piece):
    fault, ours = reader.read(wire, piece)
    theirs = read_by_h11(wire)
    if fault != "NONE" and (theirs is None or not theirs[3]):
        event("both refuse it, or theirs waits for its end")
        return
    if fault != "NONE":
        excuses = [name for name, row in STRICTER.items() if row[0] == fault and row[1](wire)]
        assert excuses, f"we refuse {wire!r} ({fault}), h11 reads {theirs}"
        event("stricter: " + excuses[0])
        return
    if theirs is None:
        excuses = [name for name, row in LOOSER.items() if row[0](wire)]
        assert excuses or not ours[3], f"h11 refuses {wire!r}, we read {ours}"
        event("looser: " + excuses[0] if excuses else "h11 refuses it before its end")
        return
    event("both read it")
    assert ours == theirs, wire


COMMON = dict(deadline=None, database=None, derandomize=True,
              suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])


@settings(max_examples=1500, **COMMON)
@given(wire=requests(), piece=st.integers(0, 9))
@example(wire=b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", piece=0)
def test_generated_requests_are_read_alike(reader, wire, piece):
    compare(reader, wire, piece)


@settings(max_examples=1500, **COMMON)
@given(wire=mutated(), piece=st.integers(0, 9))
def test_mutated_requests_are_read_alike(reader, wire, piece):
    compare(reader, wire, piece)


@pytest.mark.parametrize("name", STRICTER)
def test_we_are_stricter(reader, name):
    fault, shows, _, wire = STRICTER[name]
    assert shows(wire)
    assert reader.read(wire)[0] == fault
    assert read_by_h11(wire)[3], "h11 refuses it now: the row can go"


@pytest.mark.parametrize("name", LOOSER)
def test_we_are_looser(reader, name):
    shows, _, wire = LOOSER[name]
    assert shows(wire)
    fault, ours = reader.read(wire)
    assert fault == "NONE" and ours[3]
    assert read_by_h11(wire) is None, "h11 takes it now: the row can go"
