"""HTTP/2 frames by hand: what a peer sends on purpose, and what it gets. HPACK is the python3-hpack library's."""
import contextlib
import socket
import struct
import time

import hpack

from gateway import TIMEOUT

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
NAMES = ("DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION").split()
END_STREAM = ACK = 1
END_HEADERS, PADDED, PRIORITY_FLAG = 4, 8, 32
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST = range(1, 7)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ANSWER = [(":status", "200"), ("content-type", "application/grpc")]


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in pairs))


def rst(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def goaway(last, code=NO_ERROR):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code))


def message(content):
    """A gRPC message."""
    return struct.pack(">BI", 0, len(content)) + content


def request(path="/t.Echo/Unary", *more):
    return [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "e2e.test"),
            ("content-type", "application/grpc"), ("te", "trailers"), *more]


class Frame:
    def __init__(self, kind, flags, stream, payload, fields=None):
        self.kind, self.flags, self.stream, self.payload, self.fields = kind, flags, stream, payload, fields

    def __repr__(self):
        name = NAMES[self.kind] if self.kind < len(NAMES) else self.kind
        return f"{name}(flags={self.flags} stream={self.stream} {self.fields or self.payload[:60]!r})"

    @property
    def code(self):
        """The error code of RST_STREAM or GOAWAY."""
        at = 4 if self.kind == GOAWAY else 0
        return struct.unpack_from(">I", self.payload, at)[0]

    @property
    def last(self):
        return struct.unpack_from(">I", self.payload)[0] & 0x7fffffff

    @property
    def ended(self):
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    def settings(self):
        return dict(struct.iter_unpack(">HI", self.payload))


class Closed(Exception):
    """The other side closed the connection."""


class Wire:
    """One end of an HTTP/2 connection. Says nothing by itself, except what `answer_*` asks for."""

    def __init__(self, sock):
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_header_list_size = 1 << 24
        self.block = None
        self.answer_pings = self.answer_settings = self.answer_windows = True
        self.seen = []  # all frames read

    def close(self):
        self.sock.close()

    # ---- out ----

    def send(self, *frames):
        try:
            self.sock.sendall(b"".join(frames))
        except OSError as error:
            raise Closed(str(error)) from None

    def reply(self, *frames):
        """What the other side may not wait for any more."""
        with contextlib.suppress(Closed):
            self.send(*frames)

    def headers(self, stream, fields, end=False):
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, self.encoder.encode(fields))

    def answer(self, stream, content=b"", code=0, *trailers):
        """A whole gRPC answer."""
        parts = [self.headers(stream, ANSWER)]
        if content is not None:
            parts.append(frame(DATA, 0, stream, message(content)))
        return b"".join(parts) + self.headers(stream, [("grpc-status", str(code)), *trailers], end=True)

    # ---- in ----

    def fill(self, size, end):
        while len(self.buffer) < size:
            self.sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                data = self.sock.recv(1 << 18)
            except (ConnectionError, OSError) as error:
                if isinstance(error, TimeoutError):
                    raise TimeoutError(f"nothing came; so far: {self.seen[-12:]}") from None
                raise Closed(str(error)) from None
            if not data:
                raise Closed("end of file")
            self.buffer += data

    def read(self, timeout=TIMEOUT):
        """The next frame; header blocks decoded."""
        end = time.monotonic() + timeout
        self.fill(9, end)
        size = int.from_bytes(self.buffer[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self.buffer[3:9])
        self.fill(9 + size, end)
        payload, self.buffer = self.buffer[9:9 + size], self.buffer[9 + size:]
        got = Frame(kind, flags, stream, payload)
        if kind in (HEADERS, CONTINUATION):
            skip = 5 if kind == HEADERS and flags & PRIORITY_FLAG else 0
            self.block = (b"" if kind == HEADERS else self.block) + payload[skip:]
            if flags & END_HEADERS:
                got.fields = [(bytes(name).decode(), bytes(value).decode(errors="surrogateescape"))
                              for name, value in self.decoder.decode(self.block, raw=True)]
        elif kind == PING and not flags & ACK and self.answer_pings:
            self.reply(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and not flags & ACK and self.answer_settings:
            self.reply(frame(SETTINGS, ACK))
        elif kind == DATA and payload and self.answer_windows:
            self.reply(window_update(0, len(payload)), *([] if got.ended else [window_update(stream, len(payload))]))
        self.seen.append(got)
        return got

    def until(self, condition, timeout=TIMEOUT):
        """Reads up to the first frame for which CONDITION holds."""
        end = time.monotonic() + timeout
        while True:
            got = self.read(max(end - time.monotonic(), 0.001))
            if condition(got):
                return got

    def until_kind(self, kind, stream=None, timeout=TIMEOUT):
        return self.until(lambda got: got.kind == kind and stream in (None, got.stream), timeout)

    def until_goaway(self, timeout=TIMEOUT):
        """GOAWAY and then the end of the connection."""
        got = self.until_kind(GOAWAY, timeout=timeout)
        self.until_closed(timeout)
        return got

    def until_closed(self, timeout=TIMEOUT):
        try:
            self.until(lambda _: False, timeout)
        except Closed:
            pass

    def until_end(self, *streams, timeout=TIMEOUT):
        """Reads until all STREAMS have ended: {stream: (fields, content, trailers or RST_STREAM code)}."""
        state = {stream: [None, b"", None] for stream in streams}
        missing = set(streams)
        end = time.monotonic() + timeout
        while missing:
            got = self.read(max(end - time.monotonic(), 0.001))
            if got.stream not in missing:
                if got.kind == GOAWAY and got.code:
                    raise AssertionError(f"GOAWAY: {got}")
                continue
            one = state[got.stream]
            if got.kind == HEADERS and one[0] is None:
                one[0] = dict(got.fields)
                one[2] = one[0] if got.ended else None
            elif got.kind == HEADERS:
                one[2] = dict(got.fields)
            elif got.kind == DATA:
                one[1] += got.payload
            elif got.kind == RST_STREAM:
                one[2] = got.code
                missing.discard(got.stream)
            if got.ended:
                missing.discard(got.stream)
        return {stream: tuple(one) for stream, one in state.items()}


class Client(Wire):
    """A client connection to a gateway. Preface and SETTINGS are sent unless PREFACE is empty."""

    def __init__(self, gate, *pairs, preface=PREFACE, context=None, server_name=None):
        host, port = gate.address.rsplit(":", 1)
        sock = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        if context:
            sock = context.wrap_socket(sock, server_hostname=server_name)
        super().__init__(sock)
        gate.owns(self)
        self.next = 1
        if preface:
            self.send(preface, settings(*pairs))

    def start(self, path="/t.Echo/Unary", *more, end=False):
        """Opens a stream: its id."""
        stream, self.next = self.next, self.next + 2
        self.send(self.headers(stream, request(path, *more), end))
        return stream

    def call(self, content=b"hello", path="/t.Echo/Unary", *more):
        """A whole unary call that must succeed: the answer's content."""
        stream = self.start(path, *more)
        self.send(frame(DATA, END_STREAM, stream, message(content)))
        fields, answer, trailers = self.until_end(stream)[stream]
        assert isinstance(trailers, dict) and trailers.get("grpc-status") == "0", (fields, trailers)
        return answer[5:]

    def ping(self):
        """The other side has handled all that was sent before."""
        mark = struct.pack(">d", time.monotonic())
        self.send(frame(PING, 0, 0, mark))
        self.until(lambda got: got.kind == PING and got.flags & ACK and got.payload == mark)
