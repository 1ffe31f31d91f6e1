"""A backend that misbehaves on purpose: a function plays the server's side of each connection, frame by frame."""
import socket
import threading
import traceback

from gateway import TIMEOUT
from wire import DATA, HEADERS, PREFACE, Closed, Wire, rst, settings


class Server:
    """Listens, and runs SCRIPT(wire, number) for each connection in a thread of its own. The client's preface has been
    read; the script sends SETTINGS itself. What a script raises, other than the end of its connection, fails the test
    at close()."""

    def __init__(self, script, address=("127.0.0.1", 0)):
        self.script = script
        self.listener = socket.create_server(address, backlog=128)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.wires, self.threads, self.problems = [], [], []
        self.closing = False
        self.changed = threading.Condition()
        self.acceptor = threading.Thread(target=self.accept, daemon=True)
        self.acceptor.start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                if self.closing:
                    sock.close()
                    return
                wire = Wire(sock)
                self.wires.append(wire)
                thread = threading.Thread(target=self.play, args=(wire, len(self.wires)), daemon=True)
                self.threads.append(thread)
                self.changed.notify_all()
            thread.start()

    def play(self, wire, number):
        try:
            sock = wire.sock
            sock.settimeout(TIMEOUT)
            preface = b""
            while len(preface) < len(PREFACE):
                more = sock.recv(len(PREFACE) - len(preface))
                if not more:
                    return
                preface += more
            assert preface == PREFACE, preface
            self.script(wire, number)
        except (Closed, OSError):
            pass
        except Exception:
            if not self.closing:
                self.problems.append(traceback.format_exc())
        finally:
            wire.close()

    def wait_connections(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.wires) >= count, TIMEOUT), f"{len(self.wires)} of {count}"

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for wire in self.wires:
            try:
                wire.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in [self.acceptor, *self.threads]:
            thread.join(TIMEOUT)
        assert not self.problems, "\n".join(self.problems)


def requests(wire, timeout=3600):
    """Yields (stream, fields, content) for every whole request; answers nothing."""
    open_streams = {}
    while True:
        got = wire.read(timeout)
        if got.kind == HEADERS:
            open_streams[got.stream] = (dict(got.fields), b"")
        elif got.kind == DATA and got.stream in open_streams:
            fields, content = open_streams[got.stream]
            open_streams[got.stream] = (fields, content + got.payload)
        if got.ended and got.stream in open_streams:
            yield (got.stream, *open_streams.pop(got.stream))


def answering(*pairs, code=0, content=b"", trailers_only=False, reset=None):
    """A script that answers every request the same way."""
    def script(wire, _):
        wire.send(settings(*pairs))
        for stream, _, _ in requests(wire):
            if reset is not None:
                wire.send(rst(stream, reset))
            elif trailers_only:
                wire.send(wire.headers(stream, [(":status", "200"), ("content-type", "application/grpc"),
                                                ("grpc-status", str(code)), ("grpc-message", "scripted")], end=True))
            else:
                wire.send(wire.answer(stream, content, code, ("grpc-message", "scripted")))
    return script
