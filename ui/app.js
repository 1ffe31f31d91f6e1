// The page: its connection to the gateway, keys, colours. Each panel stands alone: one that fails says so, the others go on.
import { $, el, inside, setText, show } from "./dom.js";
import { beginBoard, showBreakers, tickAll } from "./board.js";
import { addHistory, paintCharts } from "./charts.js";
import { ask, beginStreams, moveSelection, showStreams, streamsQuery } from "./streams.js";
import { forgetEvents, rememberEndpoints, showEvent, showFacts, showLimits, showMethods, showPools, showTiles, showWaits } from "./tables.js";
import { duration } from "./format.js";

const SILENCE_MS = 6000; // the gateway says something each second
const HIDDEN_MS = 300_000; // a tab that nobody looks at takes no connection for longer

let source = null, heard = 0, lostSince = 0, reopen = 0, pid = null, hiddenAt = 0;

// ---- panels ----

function panel(id, what, data) {
    const section = $(id);
    try {
        what(data);
        section.querySelector(":scope > .broken")?.remove();
    } catch (error) {
        if (!section.querySelector(":scope > .broken")) {
            section.append(el("p", { class: "broken problem" }, `This part cannot be shown: ${error.message}`));
        }
    }
}

function say(text) {
    setText($("toast"), text);
    clearTimeout(say.timer);
    say.timer = setTimeout(() => setText($("toast"), ""), 6000);
}

function onOverview(overview) {
    if (pid !== null && pid !== overview.pid) {
        forgetEvents();
        say("The gateway was started anew");
    }
    pid = overview.pid;
    panel("now", showFacts, overview);
    panel("now", showTiles, overview);
    panel("charts", addHistory, overview.history ?? []);
    panel("methods", showMethods, overview);
    panel("waits", showWaits, overview);
    panel("pools", rememberEndpoints, overview);
}

/** One that has just come is also said. */
function onEvent(event) {
    const sentence = showEvent(event);
    if (sentence) {
        setText($("said"), sentence);
    }
}

const HANDLERS = {
    overview: onOverview,
    breakers: (picture) => panel("breakers", showBreakers, picture),
    streams: (picture) => panel("streams", showStreams, picture),
    clusters: (picture) => {
        panel("pools", showPools, picture);
        panel("limits", showLimits, picture);
    },
    event: (event) => panel("events", onEvent, event),
    past: (event) => panel("events", showEvent, event),
};

// ---- the connection ----

function isHeard() {
    heard = performance.now();
    lostSince = 0;
    show($("lost"), false);
    setText($("link"), "live");
    $("link").className = "mark live";
}

function isLost() {
    lostSince ||= heard || performance.now();
    setText($("link"), "not connected");
    $("link").className = "mark lost";
    setText($("lost"), `The gateway does not answer. What is shown is ${duration(Math.round((performance.now() - lostSince) / 1000) * 1000)} old. Trying again.`);
    show($("lost"), true);
}

function open() {
    clearTimeout(reopen);
    source?.close();
    source = new EventSource(inside(`live?${streamsQuery()}`));
    const mine = source;
    heard = performance.now();
    for (const [name, handle] of Object.entries(HANDLERS)) {
        source.addEventListener(name, (message) => {
            if (mine === source) {
                isHeard();
                handle(JSON.parse(message.data));
            }
        });
    }
    source.addEventListener("error", () => {
        if (mine === source) {
            isLost();
            if (source.readyState === EventSource.CLOSED) { // it was refused: the browser does not try again by itself
                reopen = setTimeout(open, 2000);
            }
        }
    });
}

function watch() {
    tickAll();
    if (document.hidden) {
        hiddenAt ||= performance.now();
        if (source && performance.now() - hiddenAt > HIDDEN_MS) {
            source.close();
            source = null;
        }
    } else if (lostSince) {
        isLost();
    } else if (source && performance.now() - heard > SILENCE_MS) {
        isLost();
        open();
    }
}

function onVisible() {
    if (!document.hidden) {
        hiddenAt = 0;
        if (!source) {
            open();
        }
    }
}

// ---- keys, colours ----

const isTyping = (target) => target.closest("input, select, textarea, dialog[open]") !== null;

function jump(id) {
    $(id).tabIndex = -1;
    $(id).focus();
    $(id).scrollIntoView({ block: "start" });
}

const KEYS = {
    "/": () => $("f-method").focus(),
    "?": () => $("help").showModal(),
    k: () => ask() || say("Select a stream first: with the arrow keys, or a click"),
    b: () => jump("breakers"),
    s: () => jump("streams"),
    e: () => jump("events"),
    ArrowDown: () => moveSelection(1),
    ArrowUp: () => moveSelection(-1),
};

function onKey(event) {
    if (event.key === "Escape" && event.target.closest("input, select")) {
        event.preventDefault(); // some browsers empty the field
        event.target.blur();
    }
    const arrow = event.key.startsWith("Arrow");
    if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target) || !Object.hasOwn(KEYS, event.key) ||
        (arrow && !event.target.closest("#streams"))) { // elsewhere they scroll
        return;
    }
    event.preventDefault();
    KEYS[event.key]();
}

function setTheme(theme) {
    if (theme === "auto") {
        document.documentElement.removeAttribute("data-theme");
    } else {
        document.documentElement.dataset.theme = theme;
    }
    paintCharts();
}

function beginTheme() {
    let kept = null;
    try {
        kept = localStorage.getItem("fusegate-theme");
    } catch {
        // this browser keeps nothing: the choice lasts as long as the page
    }
    $("theme").value = ["light", "dark"].includes(kept) ? kept : "auto";
    setTheme($("theme").value);
    $("theme").addEventListener("change", () => {
        setTheme($("theme").value);
        try {
            localStorage.setItem("fusegate-theme", $("theme").value);
        } catch {
            // as above
        }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintCharts);
}

beginTheme();
beginBoard();
beginStreams(open, say);
open();
setInterval(watch, 500);
document.addEventListener("visibilitychange", onVisible);
document.addEventListener("keydown", onKey);
$("help-open").addEventListener("click", () => $("help").showModal());
$("help-close").addEventListener("click", () => $("help").close());
