#!/usr/bin/env python3
"""The server under test of the Connect conformance suite: a gateway in front of the suite's own server,
to which it speaks gRPC alone.

The suite's protocol (server_compat.proto): a ServerCompatRequest on standard input, a ServerCompatResponse on standard
output, each behind its length in four bytes. GRPCSERVER, FUSEGATE_BIN and DESCRIPTORS name what is to be used."""
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

CERTIFICATE = b""


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7f) << shift, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            value, at = read_varint(data, at)
        else:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        yield tag >> 3, value


def number(field, value):
    return varint(field << 3) + varint(value)


def content(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value


def read_message(stream):
    size, = struct.unpack(">I", stream.read(4))
    return stream.read(size)


def write_message(stream, message):
    stream.write(struct.pack(">I", len(message)) + message)
    stream.flush()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_for_port(port):
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


def main():
    request = dict(fields(read_message(sys.stdin.buffer)))
    limit = request.get(6, 0)
    backend = subprocess.Popen([os.environ["GRPCSERVER"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    write_message(backend.stdin, number(1, 2) + number(2, 2) + (number(6, limit) if limit else b""))
    backend.stdin.close()
    answer = dict(fields(read_message(backend.stdout)))
    port = free_port()
    folder = tempfile.mkdtemp(prefix="conformance-")
    tls, pem = "", b""
    if request.get(4):
        creds = dict(fields(request[7]))
        pem = creds[1]
        for name, text in (("cert.pem", creds[1]), ("key.pem", creds[2])):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(text)
        tls = ", tls: {certificate: cert.pem, key: key.pem}"
    path = os.path.join(folder, "gateway.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""workers: 1
listeners: [{{address: 127.0.0.1:{port}{tls}}}]
error_details: false
clusters:
  c:
    endpoints: [127.0.0.1:{answer[2]}]
    descriptors: {os.environ["DESCRIPTORS"]}
    breaker: {{enabled: false}}
    limits: {{refuse_doomed: false}}
admin: {{address: "off"}}
""")
    gateway = subprocess.Popen([os.environ["FUSEGATE_BIN"], "run", "-c", path])

    def stop(*_):
        for child in (gateway, backend):
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    wait_for_port(port)
    write_message(sys.stdout.buffer, content(1, b"127.0.0.1") + number(2, port) + (content(3, pem) if pem else b""))
    gateway.wait()
    backend.terminate()
    backend.wait()


if __name__ == "__main__":
    main()
