"""The generated Python side of proto/, made in a temporary folder when it is imported."""
import atexit
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from grpc_tools import protoc

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROTOS = ["order/v1/order.proto", "grpc/health/v1/health.proto"]


def _generate():
    folder = tempfile.mkdtemp(prefix="restaurant-stubs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for proto in PROTOS:
        # Each into a folder of its own, without packages: "grpc" is taken.
        source = os.path.join(ROOT, "proto", os.path.dirname(proto))
        result = protoc.main(["protoc", "-I" + source, "--python_out=" + folder, "--grpc_python_out=" + folder,
                              os.path.join(source, os.path.basename(proto))])
        if result != 0:
            raise RuntimeError("cannot generate stubs from " + proto)
    sys.path.insert(0, folder)


_generate()
import health_pb2  # noqa: E402
import health_pb2_grpc  # noqa: E402
import order_pb2  # noqa: E402
import order_pb2_grpc  # noqa: E402


class Restaurant:
    """All services behind one channel."""

    def __init__(self, channel):
        self.orders = order_pb2_grpc.OrderServiceStub(channel)
        self.streams = order_pb2_grpc.OrderStreamServiceStub(channel)
        self.echo = order_pb2_grpc.EchoServiceStub(channel)
        self.faults = order_pb2_grpc.FaultServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)


def order_request(table, *dishes, ref=""):
    """DISHES: ("beef noodles", count, price in cents)."""
    items = [order_pb2.Item(dish=dish, count=count, price_cents=price) for dish, count, price in dishes]
    return order_pb2.CreateOrderRequest(table=table, items=items, client_ref=ref)


class Process:
    """A child process that says in its first line where it listens, or is asked otherwise; ended by its id."""

    def __init__(self, command, stderr=None):
        self.command = command
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def first_line(self, timeout=10):
        ready, _, _ = select.select([self.process.stdout], [], [], timeout)
        return self.process.stdout.readline().strip() if ready else ""

    def stop(self, timeout=10):
        """SIGTERM, and SIGKILL when that does not help. The exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        return status


def start_kitchen(binary, name, *arguments, stderr=None):
    """(process, address) of a kitchen that listens."""
    process = Process([binary, "--listen", "127.0.0.1:0", "--name", name, *arguments], stderr)
    match = re.fullmatch(r"listening on (\S+)", process.first_line())
    if not match:
        process.stop()
        raise RuntimeError(f"{binary} did not start")
    return process, match.group(1)


def wait_until(condition, timeout, what):
    """Asks CONDITION until it is true."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited {timeout} s in vain: {what}")
        time.sleep(0.01)
