"""A small HTTP/2 client for connections that do nothing, or one call and then nothing."""
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
TIMEOUT_S = 10
MESSAGE = struct.pack(">BI", 0, 64) + b"\x2a" * 64


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name, value):
    """A field without indexing, without Huffman (RFC 7541 6.2.2); both shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


REQUEST_HEADERS = b"".join(literal(name, value) for name, value in (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/bench.Echo/Unary"), (b":authority", b"127.0.0.1"),
    (b"content-type", b"application/grpc"), (b"te", b"trailers")))
CALL = frame(HEADERS, END_HEADERS, 1, REQUEST_HEADERS) + frame(DATA, END_STREAM, 1, MESSAGE)


class Connection:
    """Opened with preface and SETTINGS exchanged and acknowledged in both directions."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))
        theirs = ours = False
        while not (theirs and ours):
            kind, flags, _, _ = self.next_frame()
            theirs = theirs or (kind == SETTINGS and not flags & ACK)
            ours = ours or (kind == SETTINGS and bool(flags & ACK))

    def call(self):
        """One unary call; raises unless the message came back."""
        self.socket.sendall(CALL)
        echoed = b""
        while True:
            kind, flags, stream, payload = self.next_frame()
            if kind == RST_STREAM:
                raise OSError("the call was reset")
            if stream == 1 and kind == DATA:
                echoed += payload
            if stream == 1 and kind in (DATA, HEADERS) and flags & END_STREAM:
                break
        if echoed != MESSAGE:
            raise OSError(f"{len(echoed)} bytes came back instead of {len(MESSAGE)}")

    def next_frame(self):
        head = self.take(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        payload = self.take(length)
        if kind == SETTINGS and not flags & ACK:
            self.socket.sendall(frame(SETTINGS, ACK, 0))
        if kind == PING and not flags & ACK:
            self.socket.sendall(frame(PING, ACK, 0, payload))
        if kind == GOAWAY:
            raise OSError(f"the connection was given up: {payload[8:].decode(errors='replace') or 'GOAWAY'}")
        return kind, flags, int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload

    def take(self, count):
        while len(self.received) < count:
            data = self.socket.recv(65536)
            if not data:
                raise OSError("the connection was closed")
            self.received += data
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def close(self):
        self.socket.close()
