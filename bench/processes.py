"""Starting servers pinned to a core and stopping them by pid, whatever happens."""
import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import time

import measure

PORTS = range(20000, 32000)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 3


def free_port():
    """Below the range the kernel gives to clients: a client's old connection cannot take it before the server does."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def die_with_parent():
    """Also ends a server when the bench itself is killed in a way it cannot handle."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans():
    """A worker that outlives its master becomes this process's child, so that it can be waited for."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


class Server:
    """A child process that listens on `port`. Use as a context manager."""

    def __init__(self, name, command, port, core, folder):
        self.name, self.port = name, port
        os.makedirs(folder, exist_ok=True)
        self.log = os.path.join(folder, f"{name}.log")
        with open(self.log, "w") as log:
            self.child = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=log, cwd=folder, preexec_fn=die_with_parent, start_new_session=True)
        self.pid = self.child.pid

    def __enter__(self):
        try:
            self.wait_until_listening()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_listening(self):
        give_up = time.monotonic() + START_TIMEOUT_S
        while True:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended at once: {self.last_words()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > give_up:
                    raise RuntimeError(f"{self.name} does not listen on its port: {self.last_words()}") from None
                time.sleep(0.02)

    def last_words(self):
        with open(self.log, errors="replace") as log:
            return " / ".join(log.read().strip().splitlines()[-3:]) or "it said nothing"

    def pids(self):
        return measure.tree(self.pid)

    def stop(self):
        family = self.pids()
        self.child.terminate()
        try:
            self.child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for pid in family[1:]:  # workers whose parent had no time to stop them
            if self.session_of(pid) == self.pid:
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # its master reaped it
                os.waitpid(pid, 0)

    @staticmethod
    def session_of(pid):
        try:
            return os.getsid(pid)
        except ProcessLookupError:
            return None
