"""A real headless Chromium, driven by its DevTools protocol through a pipe: no port, no driver."""
import base64
import io
import itertools
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from gateway import SCALE

PATIENCE = 30 * SCALE
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-features=Translate,OptimizationHints,MediaRouter", "--hide-scrollbars", "--force-color-profile=srgb"]
# Resolves with the seconds it took once CONDITION holds; looked at whenever the page changes.
UNTIL = """new Promise((resolve, reject) => {
    const holds = () => { try { return %s } catch { return false } };
    const end = (value) => { observer.disconnect(); clearInterval(timer); clearTimeout(limit); value ? resolve(value) : reject(new Error("not in time")) };
    const look = () => { const value = holds(); if (value) end(value) };
    const observer = new MutationObserver(look);
    const timer = setInterval(look, 100), limit = setTimeout(() => end(null), %d);
    observer.observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
    look();
})"""


class Browser:
    """One process with a profile of its own."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="fusegate-chromium-")
        here_read, there_write = os.pipe()
        there_read, here_write = os.pipe()
        env = {**os.environ, "HOME": self.folder, "XDG_CONFIG_HOME": self.folder, "XDG_CACHE_HOME": self.folder}
        with open(os.path.join(self.folder, "log"), "w") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", f'exec chromium "$@" 3<&{there_read} 4>&{there_write}', "chromium", *FLAGS,
                 f"--user-data-dir={self.folder}", f"--crash-dumps-dir={self.folder}", "about:blank"],
                pass_fds=(there_read, there_write), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True)
        os.close(there_read)
        os.close(there_write)
        self.out = os.fdopen(here_write, "wb", buffering=0)
        self.into = os.fdopen(here_read, "rb")
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.answers, self.pages = {}, {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        text = b""
        while chunk := self.into.read1(1 << 20):
            *messages, text = (text + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers.pop(message["id"]).put(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].on_event(message["method"], message["params"])
        for waiting in list(self.answers.values()):
            waiting.put({"error": "Chromium has ended"})

    def post(self, method, session=None, **params):
        """Sends a command; a queue that its answer comes to."""
        number, answer = next(self.numbers), queue.Queue()
        self.answers[number] = answer
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        with self.lock:
            self.out.write(json.dumps(message).encode() + b"\0")
        return answer

    def call(self, method, session=None, **params):
        answer = self.post(method, session, **params).get(timeout=PATIENCE)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def page(self, **settings):
        target = self.call("Target.createTarget", url="about:blank",
                           browserContextId=self.call("Target.createBrowserContext")["browserContextId"])["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.pages[session] = Page(self, session, **settings)
        self.pages[session].begin()
        return self.pages[session]

    def close(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for _ in range(50):  # the last of its processes may still write
            shutil.rmtree(self.folder, ignore_errors=True)
            if not os.path.exists(self.folder):
                break
            time.sleep(0.1)


class Page:
    """One tab with cookies and passwords of its own. `problems`: errors of the console, of scripts and of the content policy;
    `asked`: the URLs it asked for; `dialogs`: what scripts said by alert()."""

    def __init__(self, browser, session, width=1280, height=900, mobile=False, dark=False, password=None):
        self.browser, self.session, self.password = browser, session, password
        self.size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.dark = dark
        self.problems, self.asked, self.dialogs, self.challenges = [], [], [], 0

    def begin(self):
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", **self.size)
        self.set_dark(self.dark)
        if self.password:
            self.call("Fetch.enable", handleAuthRequests=True)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def on_event(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(params["args"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append({key: params["entry"].get(key) for key in ("source", "text", "url")})
        elif method == "Audits.issueAdded" and "ContentSecurityPolicy" in params["issue"]["code"]:
            self.problems.append(params["issue"])
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
            self.browser.post("Page.handleJavaScriptDialog", self.session, accept=True)
        elif method == "Fetch.requestPaused":
            self.browser.post("Fetch.continueRequest", self.session, requestId=params["requestId"])
        elif method == "Fetch.authRequired":
            self.challenges += 1
            user, password = self.password
            self.browser.post("Fetch.continueWithAuth", self.session, requestId=params["requestId"], authChallengeResponse={
                "response": "ProvideCredentials" if self.challenges == 1 else "CancelAuth", "username": user, "password": password})

    # ---- what a user does ----

    def go(self, url):
        self.call("Page.navigate", url=url)

    def set_dark(self, dark):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def eval(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, condition, patience=PATIENCE):
        """The first true value of CONDITION, an expression."""
        end = time.monotonic() + patience
        while True:  # a page that is only being loaded takes the question with it
            answer = self.browser.post("Runtime.evaluate", self.session, expression=UNTIL % (condition, patience * 900),
                                       awaitPromise=True, returnByValue=True).get(timeout=patience)
            if "error" not in answer and "exceptionDetails" not in answer["result"]:
                return answer["result"]["result"].get("value")
            gone = "error" in answer or "navigat" in str(answer) or "collected" in str(answer)
            assert gone and time.monotonic() < end, (condition, self.eval("document.body.innerText"), self.problems)

    def promise(self, condition):
        """The same, but begun at once and waited for by calling what is returned."""
        answer = self.browser.post("Runtime.evaluate", self.session, expression=UNTIL % (condition, PATIENCE * 900),
                                   awaitPromise=True, returnByValue=True)

        def wait():
            result = answer.get(timeout=PATIENCE)
            assert "error" not in result and "exceptionDetails" not in result["result"], (condition, result)
            return result["result"]["result"].get("value")
        return wait

    def click(self, selector):
        place = self.eval(f"(() => {{ const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView({{block: 'center'}});"
                          " const {x, y, width, height} = one.getBoundingClientRect(); return [x + width / 2, y + height / 2] })()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def press(self, key):
        code = {"Tab": 9, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40}.get(key)
        how = {"windowsVirtualKeyCode": code, "code": key} if code else {"text": key}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **how)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, **{name: value for name, value in how.items() if name != "text"})

    def type(self, text):
        self.call("Input.insertText", text=text)

    def picture(self, path):
        """In 256 colours, which makes it small."""
        from PIL import Image
        data = self.call("Page.captureScreenshot", format="png")["data"]
        Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)
