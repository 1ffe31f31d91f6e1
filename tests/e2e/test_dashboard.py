"""The dashboard in a real Chromium: what a person on call sees and does there, and what must not get into the page."""
import json
import math
import os
import random
import threading
import time
from datetime import datetime

import pytest

from backends import Backend, code_of
from chromium import Browser
from gateway import SCALE, TIMEOUT, Gateway
from scripted import answering, requests
from wire import DATA, END_STREAM, HEADERS, Client, frame, message, settings

TOKEN = "s3cret"
PICTURES = os.environ.get("FUSEGATE_PICTURES")  # a folder: the pictures of the README are written to it

GUARDED = """
listeners: [{address: $listen}]
routes: [{match: {path_prefix: /bad.}, cluster: bad}, {match: {path_prefix: /}, cluster: kitchen}]
clusters:
  kitchen: {endpoints: [$backend]}
  bad: {endpoints: [$bad], breaker: {consecutive_failures: 3, open_for: 60s}}
admin: {address: $admin, token: s3cret, audit_log: $audit}
"""


@pytest.fixture(scope="module")
def browser():
    one = Browser()
    yield one
    one.close()


@pytest.fixture
def gate(gateway, backend, scripted, tmp_path):
    gate = gateway(GUARDED, backend=backend.address, bad=scripted(answering(code=14)).address, audit=tmp_path / "audit.log")
    gate.audit = tmp_path / "audit.log"
    return gate


@pytest.fixture
def open_page(browser):
    """open_page(GATE, ...): the dashboard with everything shown. At the end no page has anything to complain about, and none
    has asked anybody but the gateway."""
    pages = []

    def start(gate, path="/dashboard", **settings):
        page = browser.page(password=("operator", TOKEN), **settings)
        page.origin = f"http://{gate.admin}/"
        pages.append(page)
        page.go(f"http://{gate.admin}{path}")
        page.until("document.getElementById('link').textContent === 'live' && document.querySelector('#pool-table tbody tr')")
        return page

    yield start
    for page in pages:
        assert page.problems == [] and page.dialogs == []
        assert page.asked and all(url.startswith((page.origin, "data:", "about:blank")) for url in page.asked), page.asked
        page.go("about:blank")


def audit_lines(gate):
    return [json.loads(line) for line in gate.audit.read_text().splitlines()]


def texts(page, selector):
    return page.eval(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.textContent)")


def trip(gate, method="/bad.Service/Fail"):
    client = Client(gate)
    for _ in range(4):
        client.until_end(client.start(method, end=True))


def test_a_trip_is_seen_within_two_seconds(gate, open_page):
    page = open_page(gate)
    assert page.eval("document.getElementById('tripped').children.length") == 0
    page.until("!document.getElementById('tripped-none').hidden")
    seen = page.promise("document.querySelector('.card.is-open') && Date.now()")
    trip(gate)
    seen_ms = seen()
    event = next(one for one in gate.json("/events")["events"] if one["to"] == "open")
    tripped_ms = datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp() * 1000
    assert -50 <= seen_ms - tripped_ms < 2000 * SCALE
    page.until("document.querySelectorAll('.card.is-open').length === 2")  # the method's and the endpoint's
    card = next(one for one in texts(page, ".card.is-open") if "bad.Service/Fail" in one)
    assert "3 failures in a row" in card and "tried again in" in card and "of bad" in card
    page.until("document.getElementById('said').textContent.startsWith('Breaker open: ')")
    assert page.until("document.title.startsWith('(') && document.title") == "(2 open) fusegate"
    left = page.eval("document.querySelector('.card .next').textContent")
    page.until(f"document.querySelector('.card .next').textContent !== {json.dumps(left)}")
    page.click(".card .name")
    assert "UNAVAILABLE" in page.until("document.getElementById('circuit').open && document.querySelector('#circuit .events')?.textContent")


def hang(gate, count=1, path="/t.Echo/Bidi"):
    client = Client(gate)
    for _ in range(count):
        client.start(path)
    client.ping()  # the gateway's SETTINGS are read, and acknowledged
    return client


ROWS = "document.getElementById('stream-rows').children"


def test_a_stream_is_found_and_ended(gate, open_page, backend):
    client = hang(gate, 3)
    client.start("/t.Echo/ClientStream")
    backend.wait_seen(4)
    page = open_page(gate)
    page.until(f"{ROWS}.length === 4")
    page.press("/")
    page.until("document.activeElement.id === 'f-method'")
    page.type("ientStr")
    page.until(f"{ROWS}.length === 1 && {ROWS}[0].textContent.includes('t.Echo/ClientStream')")
    assert "1 shown, 1 match, 4 in progress" in texts(page, "#streams-count")[0]
    page.press("Escape")
    page.eval(f"{ROWS}[0].querySelector('button').focus()")
    page.press("k")
    page.until("document.getElementById('kill').open")
    assert page.eval("document.activeElement.id") == "kill-no", "what destroys is not what Enter does"
    assert "t.Echo/ClientStream" in texts(page, "#kill-facts")[0]
    page.click("#kill-no")
    page.until("!document.getElementById('kill').open")
    assert gate.json("/streams")["total"] == 4 and not gate.audit.read_text()
    page.click(".kill")
    page.until("document.getElementById('kill').open")
    page.click("#kill-yes")
    page.until(f"!document.getElementById('kill').open && {ROWS}.length === 0")
    assert "ended" in texts(page, "#toast")[0] and "No call in progress matches" in texts(page, "#streams-none")[0]
    assert gate.json("/streams")["total"] == 3
    begun, done = audit_lines(gate)
    assert (begun["user"], begun["action"], begun["result"], done["result"]) == ("operator", "/streams/kill", "begun", "done")
    assert begun["target"].startswith("id=0-") and begun["peer"].startswith("127.0.0.1:")
    page.click("#f-clear")
    page.until(f"{ROWS}.length === 3")
    page.eval(f"{ROWS}[0].querySelector('button').focus()")
    page.press("ArrowDown")
    page.until(f"{ROWS}[1].getAttribute('aria-selected') === 'true'")
    client.close()
    page.until(f"{ROWS}.length === 0 && !document.getElementById('streams-none').hidden")


def test_an_end_that_is_refused_is_told(gateway, backend, open_page):
    """Without a token in the configuration everything is shown and nothing is done."""
    gate = gateway("""
listeners: [{address: $listen}]
clusters: {kitchen: {endpoints: [$backend]}}
""", backend=backend.address)
    hang(gate)
    page = open_page(gate, path="/")  # a browser is sent on
    assert page.eval("location.pathname") == "/dashboard"
    page.until(f"{ROWS}.length === 1")
    page.click(".kill")
    page.until("document.getElementById('kill').open")
    page.click("#kill-yes")
    assert "admin.token" in page.until("!document.getElementById('kill-problem').hidden && document.getElementById('kill-problem').textContent")
    assert gate.json("/streams")["total"] == 1
    assert '"result": "refused: no token is configured"' in gate.errors()
    assert "Failed to load resource" in page.problems.pop()["text"], "Chromium tells of each 403"


def test_a_stranger_sees_nothing(gate, browser):
    page = browser.page(password=("operator", "wrong"))
    page.go(f"http://{gate.admin}/dashboard")
    page.until("document.body?.textContent.includes('admin.token is required')")
    assert page.challenges == 2 and page.eval("document.scripts.length") == 0
    page.go("about:blank")


HOSTILE = ["<img/src=x/onerror=alert(1)>", "</script><script>alert(2)</script>", "\"'`${alert(3)}{{alert(4)}}", "&lt;b&gt;&amp;<b>",
           "<svg/onload=alert(5)>/%3Cimg%20src=x%20onerror=alert(6)%3E", "javascript:alert(7)//"]
BYTES = {b"\xc3\xa4\xe2\x82\xac": "ä€", b"\xe2\x80\xaerev": "\\u{202e}rev", b"\xff\xfe<b>": "\\xff\\xfe<b>"}


def test_hostile_names_are_text(gateway, scripted, open_page):
    """As names of calls in progress, of circuits that trip, and of events; also such as are no UTF-8."""
    def script(wire, _):
        wire.send(settings())
        for stream, fields, _ in requests(wire):
            if fields[":path"] == "/x.Good/M":
                wire.send(wire.answer(stream))
            elif not fields[":path"].startswith("/y."):
                wire.send(wire.answer(stream, b"", 14))

    gate = gateway("""
listeners: [{address: $listen}]
clusters:
  x: {endpoints: [$endpoint], breaker: {consecutive_failures: 3, failure_ratio: 100%, open_for: 60s}}
admin: {address: $admin, token: s3cret}
""", endpoint=scripted(script).address)
    page = open_page(gate)
    client, names = Client(gate), [name.encode() for name in HOSTILE] + list(BYTES)
    for name in names:
        for _ in range(3):
            client.until_end(client.start(b"/x." + name + b"/M", end=True))
            client.until_end(client.start("/x.Good/M", end=True))
        client.start(b"/y." + name + b"/M", end=True)
    page.until(f"{ROWS}.length === {len(names)} && document.querySelectorAll('.card').length === {len(names)}")
    page.until(f"document.getElementById('event-list').children.length === {len(names)}")
    page.until(f"[...document.querySelectorAll('#method-table .name')].filter((one) => one.textContent.startsWith('x.')).length === {len(names) + 1}")
    for name in HOSTILE + list(BYTES.values()):
        for place in (".card .name", ".board tbody th", "#event-list .name", "#stream-rows .name", "#method-table .name"):
            assert any(name in text for text in texts(page, place)), (place, name, texts(page, place))
    assert page.eval("document.querySelectorAll('img, svg, b, iframe').length") == 0
    assert page.eval("document.scripts.length") == 2
    for i in range(len(names)):
        page.eval(f"document.querySelectorAll('.card .name')[{i}].click()")
        assert "UNAVAILABLE" in page.until("document.querySelector('#circuit .events')?.textContent")
        page.eval("document.getElementById('circuit').close(); document.getElementById('circuit-body').replaceChildren()")
    page.click(".kill")
    page.until("document.getElementById('kill').open")
    page.click("#kill-no")


def test_a_phone_scrolls_in_one_direction(gate, open_page, backend):
    hang(gate, 3, "/t.Echo/" + "VeryLong" * 30)
    trip(gate, "/bad." + "Service" * 40 + "/Fail")
    page = open_page(gate, width=360, height=740, mobile=True)
    page.until("document.querySelectorAll('.card').length === 2")
    for dark in (False, True):
        page.set_dark(dark)
        assert page.eval("document.documentElement.scrollWidth") == 360
        wide = page.eval("""[...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > 361 &&
            !one.closest(".scroll, .hidden, .skip")).map((one) => one.outerHTML.slice(0, 200))""")
        assert wide == []
    page.click("#help-open")
    assert page.eval("document.getElementById('help').getBoundingClientRect().width") <= 360
    page.press("Escape")


def test_light_and_dark(gate, open_page):
    page = open_page(gate)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.eval(background)
    page.set_dark(True)
    dark = page.until(f"{background} !== {json.dumps(light)} && {background}")
    choose = "(() => {{ const one = document.getElementById('theme'); one.value = '{}'; one.dispatchEvent(new Event('change')) }})()"
    page.eval(choose.format("light"))
    assert page.eval(background) == light
    page.go(f"{page.origin}dashboard")
    page.until(f"document.getElementById('link')?.textContent === 'live' && {background} === {json.dumps(light)}")
    page.set_dark(False)
    page.eval(choose.format("dark"))
    assert page.eval(background) == dark
    page.until("window.Chart.getChart('chart-calls')?.data.datasets[0].data.length > 0")  # in the colours that were chosen
    colours = "(() => { const one = window.Chart.getChart('chart-calls'); return [one.options.scales.x.ticks.color, one.data.datasets[0].borderColor] })()"
    assert page.eval(colours) == ["#9aa5b1", "#56b4e9"]


# The least contrast of texts with what is behind them (WCAG 2.2, 1.4.3): [contrast, text].
CONTRAST = """(() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (one) => { const color = rgb(getComputedStyle(one).backgroundColor); return color[3] === 0 && one.parentElement ? behind(one.parentElement) : color };
    const all = [...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && !one.closest(".hidden, .skip, canvas, option") &&
        [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())).map((one) => {
        const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), one.textContent.slice(0, 60)];
    });
    return all.sort((a, b) => a[0] - b[0])[0];
})()"""


def test_texts_can_be_read(gate, open_page, backend):
    """In light and dark; states have a word and a shape as well as a colour."""
    hang(gate)
    trip(gate)
    page = open_page(gate)
    page.until(f"{ROWS}.length === 1 && document.querySelectorAll('.card').length === 2 && document.querySelector('#event-list li')")
    for dark in (False, True):
        page.set_dark(dark)
        contrast, text = page.eval(CONTRAST)
        assert contrast >= 4.5, (dark, contrast, text)
    looks = page.eval("""Object.fromEntries(["closed", "half_open", "open"].map((state) => {
        const one = document.querySelector(`#help .state.${state}`); return [one.textContent, getComputedStyle(one, "::before").content] }))""")
    assert set(looks) == {"closed", "half open", "open"} and len(set(looks.values())) == 3


def test_everything_is_reached_by_keys(gate, open_page, backend):
    hang(gate, 2)
    page = open_page(gate)
    page.until(f"{ROWS}.length === 2")
    seen = []
    for _ in range(60):
        page.press("Tab")
        where, outline = page.eval("""(() => { const one = document.activeElement; return [one.id || one.getAttribute("aria-label") || one.textContent,
            getComputedStyle(one).outlineStyle !== "none" && one.matches(":focus-visible")] })()""")
        if page.eval("document.activeElement === document.body"):  # round the end
            break
        assert outline, f"{where} has the focus, and does not show it"
        seen.append(where)
    order = [next((i for i, one in enumerate(seen) if wanted in one), None) for wanted in
             ("Skip to the streams", "theme", "help-open", "board-only", "f-method", "f-wait", "f-clear", "Kill call")]
    assert None not in order and order == sorted(order), seen
    assert sum(one.startswith("Kill call") for one in seen) == 1, "the others are reached by arrows"
    page.press("?")
    page.until("document.getElementById('help').open")
    page.press("Escape")
    page.until("!document.getElementById('help').open && document.activeElement.id !== 'help-close'")
    page.press("s")
    page.until("document.activeElement.id === 'streams'")
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.until(f"[...{ROWS}].map((one) => one.getAttribute('aria-selected')).join() === 'false,true'")


def test_a_lost_gateway_is_said_and_found_again(gateway, backend, open_page):
    gate = gateway("listeners: [{address: $listen}]\nclusters: {c: {endpoints: [$backend]}}", backend=backend.address)
    page = open_page(gate)
    gate.stop()
    page.until("!document.getElementById('lost').hidden && document.getElementById('lost').textContent.includes('does not answer')")
    again = Gateway(gate.folder, open(gate.file).read(), backend=backend.address)
    try:
        page.until("document.getElementById('lost').hidden && document.getElementById('link').textContent === 'live'")
        page.until("document.getElementById('toast').textContent.includes('started anew')")
    finally:
        again.stop()
        assert "runtime error" not in again.errors() and "Sanitizer" not in again.errors()
    page.problems[:] = [one for one in page.problems if "ERR_CONNECTION_REFUSED" not in str(one) and "ERR_INCOMPLETE" not in str(one)]


def test_a_panel_that_fails_leaves_the_others_alone(gate, open_page):
    page = open_page(gate)
    page.eval("document.getElementById('tripped').remove()")
    page.until("document.querySelector('#breakers > .broken')")
    hang(gate)
    page.until(f"{ROWS}.length === 1")


# ---- a busy evening: what the pictures show ----

BUSY = """
workers: 2
listeners: [{address: $listen}]
routes:
  - {match: {path_prefix: /restaurant.Kitchen/}, cluster: kitchen}
  - {match: {path_prefix: /}, cluster: floor}
clusters:
  floor: {endpoints: [$floor], limits: {streams: 400}}
  kitchen: {endpoints: [$stove, $oven], breaker: {consecutive_failures: 5, open_for: 45s}}
admin: {address: $admin, token: s3cret}
"""
ALIASES = {"/restaurant.Orders/Place": "/t.Echo/Unary", "/restaurant.Menu/List": "/t.Echo/Unary", "/restaurant.Kitchen/Cook": "/t.Echo/Unary",
           "/restaurant.Kitchen/Clean": "/t.Echo/Unary", "/restaurant.Orders/Watch": "/t.Echo/ServerStream", "/restaurant.Tables/Chat": "/t.Echo/Bidi"}


class Restaurant(Backend):
    def service(self, details):
        return super().service(details._replace(method=ALIASES.get(details.method, details.method)))


class Guests:
    """Call one after the other until they leave."""

    def __init__(self, gate):
        self.left = threading.Event()
        self.threads = [threading.Thread(target=self.dine, args=(gate, i)) for i in range(4)]
        for thread in self.threads:
            thread.start()

    def dine(self, gate, number):
        chance, channel = random.Random(number), gate.channel()
        methods = list(ALIASES)[:4]
        while not self.left.is_set():
            method = chance.choices(methods, (4, 6, 5, 2))[0]
            pause = chance.choice((0.002, 0.005, 0.01, 0.03)) * (2 if method.endswith("Cook") else 1)
            code_of(lambda: channel.unary_unary(method)(b"x" * 200, metadata=[("do-sleep", str(pause))], timeout=TIMEOUT))
            self.left.wait(0.015 * (1 + math.sin(time.monotonic() / 9 + number)))

    def leave(self):
        self.left.set()
        for thread in self.threads:
            thread.join()


def test_a_busy_evening(gateway, scripted, open_page):
    """Traffic, a method that fails at one of two endpoints, and guests who do not read what they asked for."""
    burnt = threading.Event()

    def oven(wire, _):
        wire.send(settings())
        for stream, fields, content in requests(wire):
            wire.send(wire.answer(stream, content[5:], 14 if burnt.is_set() and fields[":path"].endswith("Cook") else 0))

    floor, stove = Restaurant(), Restaurant()
    gate = gateway(BUSY, floor=floor.address, stove=stove.address, oven=scripted(oven).address)
    guests = Guests(gate)
    try:
        page = open_page(gate, width=1280, height=1500)
        page.until("window.Chart.getChart('chart-calls')?.data.datasets[0].data.length > %d" % (150 if PICTURES else 2), 200 * SCALE)
        for _ in range(3):
            slow = Client(gate)
            slow.answer_windows = False
            for _ in range(2):
                stream = slow.start("/restaurant.Orders/Watch", ("do-count", "100"), ("do-size", "20000"))
                slow.send(frame(DATA, END_STREAM, stream, message(b"")))
                slow.until_kind(HEADERS)
            slow.start("/restaurant.Tables/Chat")
        burnt.set()
        page.until("[...document.querySelectorAll('.card.is-open')].some((one) => one.textContent.includes('restaurant.Kitchen/Cook'))")
        page.until("[...document.querySelectorAll('#method-table .name')].some((one) => one.textContent === 'restaurant.Menu/List')")
        assert page.eval("[...document.querySelectorAll('#tiles dd')][0].textContent") not in ("0 /s", "– /s")
        page.until(f"[...{ROWS}].some((one) => one.textContent.includes('connection window') || one.textContent.includes('stream window'))")
        page.until("document.querySelectorAll('#event-list li').length > 0")
        assert "connection window" in page.until("document.querySelector('#wait-table tbody')?.textContent")
        phone = open_page(gate, width=390, height=844, mobile=True, dark=True)
        phone.until("document.querySelectorAll('.card.is-open').length > 0 && window.Chart.getChart('chart-calls') !== undefined")
        assert phone.eval("document.documentElement.scrollWidth") == 390
        if PICTURES:
            page.until("window.Chart.getChart('chart-calls').data.datasets[0].data.length > 165")
            page.picture(os.path.join(PICTURES, "dashboard.png"))
            phone.picture(os.path.join(PICTURES, "dashboard-phone.png"))
    finally:
        guests.leave()
        floor.close()
        stove.close()
