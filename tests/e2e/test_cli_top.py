"""`fusegate top` in a real terminal: what it shows, what keys do, and that it never hangs or leaves a mess."""
import os
import re
import signal
import subprocess
import threading
import xml.etree.ElementTree

import grpc
import pytest

from backends import Backend, Echo, code_of
from gateway import BINARY, TIMEOUT, free_port, run_command, wait_for
from picture import svg_of
from scripted import answering
from terminal import Terminal
from wire import Client


@pytest.fixture
def top(tmp_path):
    """top(GATE, OPTION..., columns=80, rows=24, environment=...) starts it in a terminal of its own."""
    running = []

    def start(gate, *options, **how):
        folder = tmp_path / f"terminal{len(running)}"
        folder.mkdir()
        command = [BINARY, "top", "--admin", gate.admin, "--interval", "100ms", *options]
        running.append(Terminal(str(folder), command, **how))
        return running[-1]

    yield start
    for terminal in running:
        terminal.close()


@pytest.fixture
def guarded(gateway, backend):
    return gateway("""
listeners: [{address: $listen}]
clusters: {c: {endpoints: [$backend]}}
admin: {address: $admin, token: s3cret}
""", backend=backend.address)


@pytest.fixture
def tripped(gateway, scripted):
    """A gateway whose breaker is open."""
    bad = scripted(answering(code=14))
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {orders: {endpoints: [$bad], breaker: {consecutive_failures: 2, open_for: 60s}}}
""", bad=bad.address)
    gate.bad = bad.address
    echo = Echo(gate.channel())
    for _ in range(5):
        assert code_of(lambda: echo.unary(b"", timeout=TIMEOUT)).name == "UNAVAILABLE"
    return gate


def hanging(gate, backend, *methods):
    """Calls of these methods that do not end."""
    channel = gate.channel()
    gate.hanging = [channel.unary_unary(method).future(b"", metadata=[("do-hang", "1")], timeout=6 * TIMEOUT) for method in methods]
    backend.wait_seen(len(methods))  # grpcio cancels what nobody holds on to any more


# ---- what is shown ----

def test_views_at_80_by_24(plain, echo, top):
    for _ in range(20):
        echo.unary(b"x", timeout=TIMEOUT)
    screen = top(plain)
    seen = screen.until(r"^fusegate \S+  127\.0\.0\.1:\d+  ready  up .* workers 1  config #1", r"\[1 overview\]",
                        r"^> /t\.Echo/Unary +\d", r"^calls [\d.]+/s  failed 0/s 0 %  refused 0/s .* in progress 0",
                        r"^calls/s .*[▁▂▃▄▅▆▇█].*\| max [\d.]+", r"p50 [\d.]+ [mu]s  p90 [\d.]+ [mu]s  p99 [\d.]+ [mu]s")
    assert len(seen.splitlines()) == 24 and all(len(line) <= 80 for line in seen.splitlines())
    for key, name, shows in (("2", "streams", "no such calls are in progress"), ("3", "breakers", "✓ closed"),
                             ("4", "endpoints", r"✓ closed +[\d.]+ +0 %"), ("5", "waits", "WAITS FOR +NOW"),
                             ("6", "events", "no breaker has changed its state"), ("1", "overview", "/t.Echo/Unary")):
        screen.press(key)
        screen.until(rf"\[{key} {name}\]", shows)
    screen.press("?")
    screen.until("choose a row", "Rates and percentiles")
    screen.press("Escape")
    screen.until("> /t.Echo/Unary", lacks=["choose a row"])
    screen.press("Enter")
    screen.until(r"^  failure_ratio +0", r"^  calls +20$")
    screen.press("Enter")
    screen.until("> /t.Echo/Unary")
    screen.press("q")
    screen.assert_restored()


def test_a_tripped_breaker_can_be_seen_at_once(tripped, top):
    screen = top(tripped)
    screen.until(r"breakers open [12], half 0")
    screen.press("3")
    screen.until(rf"✖ open +{tripped.bad} +/t\.Echo/Unary +2 failed in a row +\d+[.\d]* s +3$")
    screen.press("6")
    screen.until(rf"\d\d:\d\d:\d\d  closed → open +{tripped.bad} +/t\.Echo/Unary +2 failed in a row")
    screen.press("4")
    screen.until(rf"{tripped.bad} +[✖✓] ")
    red = "\x1b\\[(?:1m\x1b\\[)?(?:1;)?31m"
    screen.press("3")
    wait_for("it is red", lambda: re.search(red + "✖ open", screen.screen(colours=True)))


@pytest.mark.parametrize("how", [{"environment": [("NO_COLOR", "1")]}, {"options": ["--no-color"]}])
def test_without_colour(tripped, top, how):
    screen = top(tripped, "--view", "breakers", *how.get("options", ()), environment=how.get("environment", ()))
    screen.until("✖ open")
    assert not re.search(r"\x1b\[[\d;]*\b(3[0-7]|4[0-7]|38|48)[\d;]*m", screen.screen(colours=True))


def test_without_utf8(tripped, top):
    screen = top(tripped, "--view", "breakers", environment=[("LC_ALL", "C")])
    screen.until(r"x open +127")
    screen.press("1")
    screen.until(r"\[1 overview\]", "/t.Echo/Unary")
    assert screen.screen().isascii()


def test_what_peers_chose_cannot_steer_the_terminal(plain, top):
    client = plain.owns(Client(plain))
    for path in (b"/\xc2\x9b2J/clear", "/\u202eevil".encode(), b"/\xff\xfe/raw", "/日本/wide".encode()):
        client.until_end(client.start(path, end=True))
    screen = top(plain, columns=100)
    screen.until(r"/\\xc2\\x9b2J/clear", r"/\\xe2\\x80\\xaeevil", r"/\\xff\\xfe/raw", "/日本/wide +c ")


def test_what_waits(plain, backend, top):
    hanging(plain, backend, "/t.Echo/Unary", "/t.Echo/Unary")
    screen = top(plain, "--view", "waits")
    screen.until(r"peer_headers +2 +0 .* the peer has not sent its headers")


# ---- keys ----

def test_streams_are_found(plain, backend, top):
    hanging(plain, backend, "/t.Echo/Unary", "/t.Echo/Look", "/t.Echo/Look", "/t.Echo/ServerStream")
    screen = top(plain, "--view", "streams", columns=100)
    screen.until(r"^> 0-\d+ ", "4 match, 4 in progress", r"/t\.Echo/Unary +127\.0\.0\.1:\d+ .*peer_headers")
    screen.press("/")
    screen.type("oopx")
    screen.press("BSpace", "BSpace", "BSpace")
    screen.until(r"filter .*: o_$")
    screen.press("BSpace")
    screen.type("Loo")
    screen.press("Enter")
    screen.until("filter: Loo", "1 of 2  2 match, 4 in progress", "/t.Echo/Look", lacks=["/t.Echo/Unary"])
    screen.press("Escape")
    screen.until("4 match", "/t.Echo/Unary", lacks=["filter:"])
    screen.press("w")
    screen.until("waiting for: peer_headers", "4 match")
    screen.press("w")
    screen.until("waiting for: peer_data", "0 match", "no such calls are in progress")
    screen.press("Escape")
    screen.until("4 match", lacks=["waiting for"])
    screen.press("s")
    screen.until("sorted by age")
    screen.press("Down", "Down")
    screen.until("3 of 4")
    chosen = re.search(r"^> (0-\d+) ", screen.screen(), re.M)[1]
    screen.press("Enter")
    screen.until(rf"^  id +{chosen}$", r"^  wait\.cause +peer_headers$", "the peer has not sent its headers",
                 r"^\d more lines: down$")
    screen.press("NPage")
    screen.until(r"^  downstream\.peer +127", r"^  upstream\.peer +127", lacks=["more lines"])
    screen.press("Enter")
    screen.until(rf"^> {chosen} ", "3 of 4")


def test_the_list_is_longer_than_the_screen(plain, backend, top):
    hanging(plain, backend, *["/t.Echo/Unary"] * 40)
    screen = top(plain, "--view", "streams")
    screen.until("40 match", "1 of 40")
    screen.press("PPage")
    screen.until("1 of 40")
    screen.press("NPage")
    screen.until("19 of 40")
    screen.press("End")
    screen.until("40 of 40")
    screen.press("Up")
    screen.until("39 of 40")
    screen.press("Home")
    screen.until("1 of 40", "^> ")


def test_a_call_is_ended_after_a_question(guarded, backend, top):
    hanging(guarded, backend, "/t.Echo/Unary", "/t.Echo/Look")
    screen = top(guarded, "--view", "streams", "--token", "s3cret")
    seen = screen.until("2 match")
    chosen, method = re.search(r"^> (0-\d+) +(/t\.Echo/\w+) ", seen, re.M).groups()
    screen.press("k")
    screen.until(rf"end call {chosen}\? y: yes, any other key: no  {method}$")
    screen.press("n")
    screen.until(f"call {chosen} goes on")
    assert guarded.json("/streams")["total"] == 2
    screen.press("k")
    screen.until(rf"end call {chosen}\? y: yes, any other key: no  {method}$")
    screen.press("y")
    screen.until(f"call {chosen} is ended", lacks=[rf"^. {chosen} "])
    assert guarded.json("/streams")["total"] == 1
    wait_for("the endpoint hears of it", lambda: sum(one.ended.is_set() for one in backend.seen) == 1)
    screen.press("3", "k")
    screen.until("press 2 for streams first")


def test_without_a_token_no_call_is_ended(plain, backend, top):
    hanging(plain, backend, "/t.Echo/Unary")
    screen = top(plain, "--view", "streams")
    screen.until("1 match")
    screen.press("k")
    screen.until("ending calls needs admin.token .*--token or FUSEGATE_TOKEN")
    assert plain.json("/streams")["total"] == 1
    screen.press("q")
    screen.until("ended: 0")
    screen = top(plain, "--view", "streams", "--token", "whatever")  # that the gateway has none is for it to say
    screen.until("1 match")
    screen.press("k")
    screen.until("end call")
    screen.press("y")
    screen.until("set admin.token in the configuration")
    assert plain.json("/streams")["total"] == 1


def test_a_pause_keeps_the_picture(plain, backend, echo, top):
    screen = top(plain, "--view", "streams")
    screen.until("0 match")
    screen.press("Space")
    screen.until("PAUSED")
    hanging(plain, backend, "/t.Echo/Look")
    screen.press("?")
    screen.until("choose a row")
    screen.press("?")
    screen.until("0 match", lacks=["Look"])
    screen.press("Space")
    screen.until("1 match", "/t.Echo/Look", lacks=["PAUSED"])


def test_sizes(plain, backend, echo, top):
    hanging(plain, backend, "/t.Echo/Look")
    screen = top(plain, "--view", "streams")
    screen.until("WAITS FOR", lacks=["PEER", "ENDPOINT"])
    screen.resize(150, 40)
    screen.until(r"ID +METHOD +ENDPOINT +PEER +PHASE +AGE +LEFT +UP +DOWN +WAITS FOR +SINCE")
    assert len(screen.lines()) == 40
    for columns, rows in ((20, 5), (10, 3), (2, 1), (40, 10)):
        screen.resize(columns, rows)
    screen.until(r"^fusegate \S+  127", "ID +METHOD +AGE")
    screen.press("1")
    screen.until(r"METHOD +CALLS/S", lacks=["max"])
    screen.resize(80, 24)
    screen.until(r"\| max ", r"\[1 overview\]")
    screen.press("q")
    screen.assert_restored()


# ---- a gateway that does not answer ----

def test_a_gateway_goes_away_and_comes_back(plain, echo, top):
    echo.unary(b"x", timeout=TIMEOUT)
    screen = top(plain)
    screen.until("> /t.Echo/Unary +0?[.\\d]+")
    plain.close_clients()
    assert plain.stop() == 0
    screen.until(r"^! no answer for .*, trying on: no gateway answers", "/t.Echo/Unary")
    wait_for("it is dim", lambda: "\x1b[2m" in screen.screen(colours=True))
    screen.press("?")
    screen.until("choose a row")
    screen.press("?", "4")
    screen.until(r"\[4 endpoints\]")
    with open(plain.errors_file, "a") as errors:
        plain.process = subprocess.Popen([BINARY, "run", "-c", plain.file], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=errors)
    screen.until(r"^fusegate \S+  127\S+  ready", "✓ closed", lacks=["no answer"])
    screen.press("q")
    screen.assert_restored()


def test_a_gateway_that_hangs_does_not_hold_up_the_keys(plain, echo, top):
    screen = top(plain)
    screen.until(r"\[1 overview\]")
    plain.process.send_signal(signal.SIGSTOP)
    try:
        screen.press("2")
        screen.until(r"\[2 streams\]", "asking the gateway")
        screen.press("?")
        screen.until("choose a row")
        screen.until(r"^! no answer for .*fallen silent")
        screen.press("q")
        screen.assert_restored()
    finally:
        plain.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_restore_the_terminal(plain, top, number):
    screen = top(plain)
    screen.until(r"\[1 overview\]")
    if number == signal.SIGINT:
        screen.press("C-c")
    else:
        os.kill(screen.pid(), number)
    screen.assert_restored()


def test_suspended_and_resumed(plain, tmp_path):
    shell = Terminal(str(tmp_path), ["bash", "--norc", "-i"])
    try:
        shell.type(f"{BINARY} top --admin {plain.admin}\n")
        shell.until(r"\[1 overview\]")
        shell.press("C-z")
        shell.until("Stopped", lacks=[r"\[1 overview\]"])
        shell.type("fg\n")
        shell.until(r"\[1 overview\]")
        shell.press("2")
        shell.until(r"\[2 streams\]", "no such calls")
        shell.press("q")
        shell.until("Stopped", lacks=[r"\[2 streams\]"])
        shell.type("exit\n")
        shell.assert_restored()
    finally:
        shell.close()


# ---- without a terminal, and wrong from the start ----

def test_one_picture_for_scripts(tripped):
    for options in ([], ["--once"]):
        done = run_command("top", "--admin", tripped.admin, *options)
        assert done.returncode == 0 and done.stderr == ""
        assert re.search(r"^fusegate .* ready", done.stdout) and "[1 overview]" in done.stdout
        assert "\x1b" not in done.stdout and not any(line != line.rstrip() for line in done.stdout.splitlines())
    done = run_command("top", "--admin", tripped.admin, "--once", "--view", "breakers")
    assert re.search(rf"^  \S open +{tripped.bad} +/t\.Echo/Unary +2 failed in a row", done.stdout, re.M)


def test_wrong_from_the_start(guarded):
    nowhere = f"127.0.0.1:{free_port()}"
    done = run_command("top", "--admin", nowhere)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"fusegate top: {nowhere}: no gateway answers: Connection refused")
    done = run_command("top", "--admin", guarded.admin)
    assert done.returncode == 1 and "the gateway asks for a token" in done.stderr
    for wrong in (["--interval", "1ms"], ["--interval", "x"], ["--view", "nothing"], ["--nothing"], ["more"]):
        done = run_command("top", "--admin", guarded.admin, *wrong)
        assert (done.returncode, done.stdout) == (2, ""), wrong


def test_a_terminal_that_is_none(plain, top):
    screen = top(plain, environment=[("TERM", "no-such-terminal")])
    screen.until("cannot use a terminal of the kind no-such-terminal", "ended: 1")


# ---- the picture in the README ----

class Shop(Backend):
    """Answers every method of shop.v1."""

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.unary) if details.method.startswith("/shop.v1.") else None


TRAFFIC = [("Orders/Place", "0.004"), ("Orders/Get", ""), ("Orders/Get", ""), ("Menu/List", ""), ("Menu/List", "0.001"),
           ("Payments/Charge", "0.02")]


def serve_customers(gate, over):
    """Calls of several methods, one after the other, until OVER."""
    channel = gate.channel()
    while not over.wait(0.01):
        for method, sleep in TRAFFIC:
            call = channel.unary_unary(f"/shop.v1.{method}")
            code_of(lambda: call(b"12345678", metadata=[("do-sleep", sleep)] if sleep else [], timeout=TIMEOUT))


def test_a_picture_of_it(gateway, scripted, top, tmp_path):
    """With FUSEGATE_PICTURES=doc/pictures it becomes the one in the README, after a minute of traffic."""
    folder = os.environ.get("FUSEGATE_PICTURES")
    shop, over = Shop(), threading.Event()
    gate = gateway("""
listeners: [{address: $listen}]
routes: [{match: {path_prefix: /shop.v1.Payments/}, cluster: payments}, {match: {path_prefix: /}, cluster: shop}]
clusters:
  shop: {endpoints: [$shop]}
  payments: {endpoints: [$shop, $bad], breaker: {consecutive_failures: 3, open_for: 5s}}
""", shop=shop.address, bad=scripted(answering(code=14)).address)
    customers = threading.Thread(target=serve_customers, args=(gate, over))
    customers.start()
    try:
        screen = top(gate, columns=100, rows=16)
        screen.until(r"/shop\.v1\.Orders/Get +shop", r"breakers open [12]", r"calls/s .*[▁▂▃▄▅▆▇█]")
        if folder:
            screen.until("up 1 min [1-9]", patience=120)
        svg = svg_of(screen.screen(colours=True), 100)
    finally:
        over.set()
        customers.join()
        shop.close()
    texts = "".join(one.text for one in xml.etree.ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))
    texts = texts.replace("\u00a0", " ")
    assert "/shop.v1.Orders/Get" in texts and "breakers open" in texts and "\x1b" not in svg
    with open(os.path.join(folder or tmp_path, "top.svg"), "w") as file:
        file.write(svg)
