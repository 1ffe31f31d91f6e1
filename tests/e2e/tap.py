"""A client of /tap: reads its lines in a thread of its own, and waits for events."""
import http.client
import json
import socket
import threading
import urllib.parse

from gateway import TIMEOUT, wait_for


class Tap:
    """One session. It is there when this returns."""

    def __init__(self, gate, token=None, **query):
        gate.owns(self)
        self.events = []
        self.ended = threading.Event()
        host, port = gate.admin.rsplit(":", 1)
        self.connection = http.client.HTTPConnection(host, int(port), timeout=6 * TIMEOUT)
        before = gate.metric("taps_opened_total")
        self.connection.request("GET", "/tap?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote),
                                headers={"authorization": f"Bearer {token or gate.token}"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, (self.answer.status, self.answer.read())
        wait_for("the tap is there", lambda: gate.metric("taps_opened_total") > before)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for line in self.answer:
                if line.strip():
                    self.events.append(json.loads(line))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass
        self.ended.set()

    def wait(self, event, count=1, **having):
        """COUNT events of that kind which have those members."""
        def look():
            found = self.of(event, **having)
            return found if len(found) >= count else None
        try:
            return wait_for(f"{count} times {event} {having}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(map(str, self.events))) from None

    def of(self, event, **having):
        return [one for one in list(self.events) if one["event"] == event and
                all(one.get(key) == value for key, value in having.items())]

    def one(self, event, **having):
        found = self.wait(event, **having)
        assert len(found) == 1, found
        return found[0]

    def close(self):
        if not self.ended.is_set():
            self.answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        assert self.ended.wait(TIMEOUT)
        self.connection.close()


def headers(event):
    return {name: value for name, value in event["headers"]}
