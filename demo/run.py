#!/usr/bin/python3
"""The story of the restaurant, with the real gateway (row A1): one of two kitchens breaks in the way that other gateways
do not see (":status 200", and the error in the trailers). ./dev demo builds everything and runs this.

    run.py [--keep]     --keep: leave everything running at the end and say what to try

FUSEGATE_BIN and RESTAURANT_BIN name other binaries than those in build/. The exit status is 0 if what is expected
happened.
"""
import argparse
import json
import os
import queue
import shutil
import signal
import socket
import string
import sys
import tempfile
import time
import urllib.error
import urllib.request

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # failed calls are what this is about

import grpc  # noqa: E402

from storm import CHANNEL_OPTIONS, Storm  # noqa: E402
from stubs import ROOT, Process, Restaurant, order_pb2, order_request, start_kitchen, wait_until  # noqa: E402

HEALTHY_S, BROKEN_S, HEALED_S = 1.5, 3.0, 0.5
RECOVERY_LIMIT_S = 6.0
MOST_FAILURES_WITH = 10
LEAST_FAILED_SHARE_WITHOUT = 0.3
KITCHENS = ("north", "south")
NOODLES = ("beef noodles", 2, 1250)


# ---- the stage ----

def binary(variable, path):
    found = os.environ.get(variable) or os.path.join(ROOT, "build", path)
    if not os.access(found, os.X_OK):
        sys.exit(f"{found} is missing: ./dev build makes it, or {variable} names another")
    return found


def free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return addresses


class Gateway:
    """A running fusegate."""

    def __init__(self, folder, kitchens, breaker):
        self.address, self.admin = free_addresses(2)
        self.config = os.path.join(folder, f"gateway-breaker-{'on' if breaker else 'off'}.yaml")
        self.log = self.config.removesuffix(".yaml") + ".log"
        with open(os.path.join(ROOT, "demo", "gateway.yaml"), encoding="utf-8") as file:
            template = string.Template(file.read())
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(template.substitute(gateway=self.address, admin=self.admin, north=kitchens["north"].address,
                                           south=kitchens["south"].address, breaker=str(breaker).lower()))
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = Process([binary("FUSEGATE_BIN", "fusegate"), "run", "-c", self.config], stderr=log)

    def wait_ready(self):
        wait_until(self._is_ready, 10, "the gateway is ready")

    def _is_ready(self):
        if self.process.process.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                raise RuntimeError("the gateway did not start:\n" + log.read())
        try:
            self.ask("/readyz")
        except (OSError, urllib.error.URLError):
            return False
        return True

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as response:
            return response.read().decode()

    def breakers_of(self, kitchen):
        """(what, state as JSON) of the endpoint of KITCHEN in the cluster `kitchens`, and of its methods."""
        clusters = json.loads(self.ask("/clusters"))["clusters"]
        cluster = next(c for c in clusters if c["name"] == "kitchens")
        endpoint = next(e for e in cluster["endpoints"] if e["address"] == kitchen.address)
        return [("whole endpoint", endpoint["breaker"]), *endpoint.get("methods", {}).items()]


class Kitchen:
    def __init__(self, name):
        self.name = name
        self.process, self.address = start_kitchen(binary("RESTAURANT_BIN", "demo/restaurant"), name)
        self.channel = grpc.insecure_channel(self.address)

    def set_fault(self, kind, value=0):
        Restaurant(self.channel).faults.SetFault(order_pb2.SetFaultRequest(kind=kind, value=value), timeout=5)


class Stage:
    """Everything that was started, so that it ends."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="restaurant-")
        self.kitchens, self.gateways, self.storms = {}, [], []

    def open_kitchens(self):
        for name in KITCHENS:
            self.kitchens[name] = Kitchen(name)

    def open_gateway(self, breaker):
        gateway = Gateway(self.folder, self.kitchens, breaker)
        self.gateways.append(gateway)
        gateway.wait_ready()
        return gateway

    def begin_storm(self, gateway):
        storm = Storm(gateway.address)
        self.storms.append(storm)
        return storm

    def logs(self):
        """What the gateways wrote."""
        text = ""
        for gateway in self.gateways:
            with open(gateway.log, encoding="utf-8") as log:
                text += log.read()
        return text

    def close(self):
        for storm in self.storms:
            storm.stop()
        for gateway in self.gateways:
            gateway.process.stop()
        for kitchen in self.kitchens.values():
            kitchen.channel.close()
            kitchen.process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- telling ----

class Story:
    def __init__(self):
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.begin = time.monotonic()
        self.disappointments = []

    def paint(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def chapter(self, title):
        print("\n" + self.paint("1", title), flush=True)

    def tell(self, text):
        print(f"  {time.monotonic() - self.begin:5.1f} s  {text}", flush=True)

    def add(self, text):
        print(f"           {text}", flush=True)

    def expect(self, good, text):
        if not good:
            self.disappointments.append(text)
        print("  " + (self.paint("32", "ok    ") if good else self.paint("31", "FAILED")) + "  " + text, flush=True)

    def table(self, rows):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        for n, row in enumerate(rows):
            line = "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            print(self.paint("1", line) if n == 0 else line)


def share(part, whole):
    return f"{part} ({100 * part / max(whole, 1):.1f} %)"


def milliseconds(seconds):
    return "never" if seconds is None else f"{1000 * seconds:.0f} ms"


# ---- what happens ----

def order_in_every_way(story, gateway):
    """One real order by each type of call."""
    with grpc.insecure_channel(gateway.address, options=CHANNEL_OPTIONS) as channel:
        api, north = Restaurant(channel), [("x-kitchen", "north")]
        order = api.orders.CreateOrder(order_request(4, NOODLES), metadata=north, timeout=5)
        api.orders.CancelOrder(order_pb2.CancelOrderRequest(id=order.id), metadata=north, timeout=5)
        found = api.orders.GetOrder(order_pb2.GetOrderRequest(id=order.id), metadata=north, timeout=5)
        if found.state != order_pb2.ORDER_STATE_CANCELLED:
            raise RuntimeError("the order was cancelled, but is not")
        story.tell(f"unary          table 4 orders beef noodles ({order.id}), asks for the order, and cancels it")
        receipt = api.orders.PlaceOrders((order_request(7, NOODLES) for _ in range(3)), timeout=5)
        story.tell(f"client stream  table 7 orders three times: one receipt over {receipt.total_cents / 100:.2f} "
                   f"from {receipt.kitchen}")
        watch_and_cook(story, api, north)


def watch_and_cook(story, api, north):
    updates = queue.Queue()
    watch = api.streams.WatchOrders(order_pb2.WatchOrdersRequest(max_events=2), metadata=north, timeout=5)
    screen = api.streams.KitchenScreen(iter(updates.get, None), metadata=north, timeout=5)
    next(watch), next(screen)  # both are on
    order = api.orders.CreateOrder(order_request(9, NOODLES), metadata=north, timeout=5)
    ticket = next(screen).order
    updates.put(order_pb2.CookUpdate(order_id=ticket.id, state=order_pb2.ORDER_STATE_READY))
    states = [order_pb2.OrderState.Name(event.order.state).removeprefix("ORDER_STATE_").lower() for event in watch]
    updates.put(None)
    if ticket.id != order.id or states != ["received", "ready"] or list(screen):
        raise RuntimeError(f"the order went {order.id}, {ticket.id}, {states}")
    story.tell(f"bidirectional  the screen in the kitchen shows {ticket.id}, the cook says that it is ready")
    story.tell(f"server stream  the waiter, who watches all orders, sees it {' and then '.join(states)}")


def protected_after(storm, broken, until):
    """Seconds from the break to the last failed call of the first burst; None: failures went on. Later ones, which the
    gateway risks to see whether the kitchen is back, do not count."""
    calls = storm.between(broken, until)
    last = None
    for i, call in enumerate(calls):
        if call.failed:
            last = call
        elif last and not any(c.failed for c in calls[i:i + 100]) and len(calls) - i >= 100:
            return last.end - broken
    return None if last else 0.0


def break_kitchen(story, stage):
    """When it broke."""
    broken = time.monotonic()
    stage.kitchens["north"].set_fault("trailer_error", 14)
    story.tell("north catches fire: every call to it gets :status 200, and grpc-status 14 in the trailers")
    return broken


def mix(calls):
    return ", ".join(f"{name} {sum(call.kitchen == name for call in calls)}" for name in KITCHENS)


def first_served_by_north(storm, since):
    return next((call for call in storm.between(since, time.monotonic()) if call.kitchen == "north"), None)


def heal_and_wait(story, stage, storm):
    """When it was healed, and after how many seconds north served again; None: it did not."""
    healed = time.monotonic()
    stage.kitchens["north"].set_fault("none")
    story.tell("the fire is out; nobody tells the gateway")
    try:
        wait_until(lambda: first_served_by_north(storm, healed), RECOVERY_LIMIT_S, "north serves again")
    except RuntimeError:
        return healed, None
    time.sleep(HEALED_S)
    return healed, first_served_by_north(storm, healed).end - healed


def describe_breaker(what, breaker):
    text = f"{what}: {breaker['state']}"
    if breaker["cause"]:
        text += f", cause {breaker['cause']}, observed {breaker['observed']:g}, threshold {breaker['threshold']:g}"
    if breaker["state"] != "closed":
        text += f", next probe in {breaker['retry_in_ms']:.0f} ms"
    return text


def with_breaker(story, stage):
    """Chapters 1 to 3. The figures of the table."""
    gateway = stage.open_gateway(breaker=True)
    story.chapter("1. A quiet evening: two kitchens, one gateway")
    order_in_every_way(story, gateway)
    storm = stage.begin_storm(gateway)
    begin = time.monotonic()
    time.sleep(HEALTHY_S)
    quiet = storm.between(begin, time.monotonic())
    story.tell(f"{len(quiet)} orders, {sum(call.failed for call in quiet)} failed; served by {mix(quiet)}")

    story.chapter("2. One kitchen breaks, and its health check stays green")
    broken = break_kitchen(story, stage)
    time.sleep(BROKEN_S / 2)
    said = gateway.breakers_of(stage.kitchens["north"])
    time.sleep(BROKEN_S / 2)
    until = time.monotonic()
    calls = storm.between(broken, until)
    failed = sum(call.failed for call in calls)
    protect = protected_after(storm, broken, until)
    story.tell(f"{len(calls)} orders, {failed} failed; served by {mix(calls)}")
    story.tell(f"from {milliseconds(protect)} after the break on, customers notice nothing. The gateway says of north:")
    for what, breaker in said:
        story.add(describe_breaker(what, breaker))

    story.chapter("3. The kitchen is repaired")
    healed, recover = heal_and_wait(story, stage, storm)
    after = storm.between(healed, time.monotonic())
    storm.stop()
    story.tell(f"north serves again after {milliseconds(recover)} (probes go out 2 s after the breaker opened); "
               f"served by {mix(after)}")
    return gateway, {"quiet_failed": sum(call.failed for call in quiet), "calls": len(calls), "failed": failed,
                     "protect": protect, "recover": recover, "said": said,
                     "both_served": all(any(c.kitchen == name for c in quiet) for name in KITCHENS)}


def without_breaker(story, stage):
    story.chapter("4. The same storm once more, with the breaker switched off")
    gateway = stage.open_gateway(breaker=False)
    storm = stage.begin_storm(gateway)
    wait_until(lambda: len(storm.served) >= 20, 10, "orders are served")
    broken = break_kitchen(story, stage)
    time.sleep(BROKEN_S)
    until = time.monotonic()
    _, recover = heal_and_wait(story, stage, storm)
    storm.stop()
    calls = storm.between(broken, until)
    failed = sum(call.failed for call in calls)
    story.tell(f"{len(calls)} orders, {failed} failed; served by {mix(calls)}")
    return {"calls": len(calls), "failed": failed, "protect": protected_after(storm, broken, until),
            "recover": recover}


def metrics_of_breakers(gateway):
    """Lines of /metrics about breakers that are not zero."""
    lines = [line for line in gateway.ask("/metrics").splitlines() if "breaker" in line and not line.startswith("#")]
    return [line for line in lines if not line.endswith(" 0")]


def conclude(story, gateway, on, off):
    story.chapter("What happened")
    story.table([
        ("", "breaker on", "breaker off"),
        ("orders while north was broken", str(on["calls"]), str(off["calls"])),
        ("of them failed", share(on["failed"], on["calls"]), share(off["failed"], off["calls"])),
        ("time to protect (break to the last failure before it)", milliseconds(on["protect"]),
         milliseconds(off["protect"])),
        ("time to recover (repair to the first order by north)", milliseconds(on["recover"]),
         milliseconds(off["recover"])),
    ])
    lines = metrics_of_breakers(gateway)
    story.chapter("/metrics of the gateway, about its breakers")
    for line in lines[:8]:
        print("  " + line)
    story.chapter("Was it as expected?")
    opened = [b for _, b in on["said"] if b["state"] != "closed" and b["cause"] == "consecutive_failures"]
    story.expect(on["quiet_failed"] == 0 and on["both_served"], "no order fails while all is well, and both cook")
    story.expect(on["failed"] <= MOST_FAILURES_WITH,
                 f"with the breaker at most {MOST_FAILURES_WITH} orders fail ({on['failed']})")
    story.expect(on["protect"] is not None, "the gateway protects its customers")
    story.expect(bool(opened), "/clusters says which breaker opened, why, what was observed and what is allowed")
    story.expect(bool(lines), "/metrics tells of the breaker")
    story.expect(on["recover"] is not None, "the repaired kitchen gets orders again")
    story.expect(off["failed"] >= LEAST_FAILED_SHARE_WITHOUT * off["calls"],
                 f"without the breaker at least {LEAST_FAILED_SHARE_WITHOUT:.0%} fail "
                 f"({share(off['failed'], off['calls'])})")


def keep_open(stage, gateway):
    order = f"/usr/bin/python3 demo/order.py --to {gateway.address}"
    print(f"""
Everything is left running: the gateway on {gateway.address}, the kitchens on
{', '.join(f'{k.address} ({k.name})' for k in stage.kitchens.values())}. Try, in another terminal:

  {order} create --table 4 "beef noodles" tea
  {order} --kitchen north watch &
  {order} --kitchen north fault trailer_error 14      # or hang, drop, reset, goaway ... "fault none" heals
  for i in $(seq 30); do {order} create soup; done
  curl -s http://{gateway.admin}/clusters
  curl -s http://{gateway.admin}/streams
  curl -s http://{gateway.admin}/metrics | grep breaker

Ctrl-C ends it.""", flush=True)
    while True:
        signal.pause()


def on_terminate(signal_number, frame):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell had SIGINT ignored
        signal.signal(number, on_terminate)
    story, stage = Story(), Stage()
    try:
        stage.open_kitchens()
        gateway, on = with_breaker(story, stage)
        off = without_breaker(story, stage)
        conclude(story, gateway, on, off)
        if arguments.keep:
            keep_open(stage, gateway)  # until Ctrl-C
    except KeyboardInterrupt:
        print("\nclosing time")
        return 130
    except (RuntimeError, OSError, grpc.RpcError) as problem:
        print(f"\nThe story broke off: {problem}\n\nThe gateway wrote:\n{stage.logs()}", file=sys.stderr)
        return 1
    finally:
        stage.close()
    return 1 if story.disappointments else 0


if __name__ == "__main__":
    sys.exit(main())
