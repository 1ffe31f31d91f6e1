// Calls in progress: which ones, what they wait for, and ending one.
import { $, el, inside, setText, show, sync } from "./dom.js";
import { bytes, duration, methodOf, number, shown, words } from "./format.js";

const LIMIT = 50;
const WAITS = ["peer_headers", "peer_data", "other_side", "stream_window", "connection_window", "socket", "stream_slot", "connect",
    "settings", "gate", "retry", "message_rate"]; // src/base/wait.h
const CALM = ["peer_data", "other_side"]; // a stream on which nobody has something to say
const TEXTS = ["method", "endpoint", "peer"];
let calls = new Map(), selected = null, changed = () => {}, asked = null;

/** What /live is asked for. A text is a part of a name. */
export function streamsQuery() {
    const query = new URLSearchParams({ streams: "1", limit: String(LIMIT), sort: $("f-sort").value });
    for (const name of TEXTS) {
        const text = $(`f-${name}`).value.trim().replace(/^\*+|\*+$/g, "");
        if (text) {
            query.set(name, `*${text}*`);
        }
    }
    if ($("f-wait").value) {
        query.set("wait", $("f-wait").value);
    }
    return query.toString().replaceAll("+", "%20"); // the gateway takes "+" for what it is
}

const isFiltered = () => $("f-wait").value !== "" || TEXTS.some((name) => $(`f-${name}`).value.trim() !== "");

// ---- rows ----

function makeRow(call) {
    const { id } = call;
    const cell = (title, name) => el("td", { "data-title": title, class: name });
    return el("tr", { onclick: () => select(id) }, el("th", { scope: "row", class: "name" }), cell("Endpoint"), cell("Peer"), cell("Waits for", "wait"),
        cell("Age", "n"), cell("Messages ↑↓", "n"), cell("Bytes ↑↓", "n"),
        el("td", { class: "act" }, el("button", { type: "button", class: "danger kill", tabindex: "-1", onfocus: () => select(id), onclick: () => ask(id) }, "Kill")));
}

function fillRow(row, call) {
    const { wait } = call, [name, endpoint, peer, waits, age, messages, size, act] = row.cells;
    setText(name, methodOf(call.method));
    name.title = `call ${call.id}, ${call.dialect}, ${words(call.phase)}, attempt ${call.attempt}`;
    setText(endpoint, call.endpoint ? shown(call.endpoint) : "none yet");
    setText(peer, call.downstream ? shown(call.downstream.peer) : "–");
    setText(waits, wait.cause === "none" ? "nothing" : `${words(wait.cause)} ${duration(wait.age_ms)}`);
    waits.className = wait.cause === "none" ? "wait faint" : wait.age_ms > 1000 && !CALM.includes(wait.cause) ? "wait long" : "wait";
    setText(age, duration(call.age_ms));
    setText(messages, `${number(call.messages_up)} ${number(call.messages_down)}`);
    setText(size, `${bytes(call.bytes_up)} ${bytes(call.bytes_down)}`);
    act.firstElementChild.setAttribute("aria-label", `Kill call ${call.id}, ${methodOf(call.method)}`);
    row.setAttribute("aria-selected", String(call.id === selected));
    act.firstElementChild.tabIndex = call.id === selected ? 0 : -1;
}

function select(id) {
    selected = id;
    for (const row of $("stream-rows").children) {
        row.setAttribute("aria-selected", String(row.dataset.key === id));
        row.querySelector("button").tabIndex = row.dataset.key === id ? 0 : -1;
    }
}

/** Up or down. */
export function moveSelection(step) {
    const rows = [...$("stream-rows").children];
    if (rows.length) {
        const at = rows.findIndex((row) => row.dataset.key === selected);
        const row = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + step))];
        row.querySelector("button").focus();
        row.scrollIntoView({ block: "nearest" });
    }
}

/** The picture of /live: as /streams has it. */
export function showStreams(picture) {
    calls = new Map(picture.streams.map((call) => [call.id, call]));
    if (!calls.has(selected)) {
        selected = null;
    }
    sync($("stream-rows"), picture.streams, (call) => call.id, makeRow, fillRow);
    const first = $("stream-rows").querySelector("button");
    if (first && selected === null) {
        first.tabIndex = 0;
    }
    setText($("streams-count"), `${picture.streams.length} shown, ${number(picture.matched)} match, ${number(picture.total)} in progress` +
        (picture.complete ? "" : "; a worker did not answer in time"));
    setText($("streams-none"), isFiltered() && picture.total > 0 ? "No call in progress matches the filter." :
        "No call is in progress. Each one that is has a line here: where it is, what it waits for, and since when.");
    show($("streams-none"), picture.streams.length === 0);
    show($("stream-table"), picture.streams.length > 0);
}

// ---- ending one ----

/** Asks before it ends call ID, or the selected one. */
export function ask(id = selected) {
    const call = calls.get(id);
    if (!call) {
        return false;
    }
    asked = call;
    $("kill-facts").replaceChildren(...[["Call", call.id], ["Method", methodOf(call.method)], ["Endpoint", call.endpoint ? shown(call.endpoint) : "none yet"],
        ["Client", call.downstream ? shown(call.downstream.peer) : "–"], ["Age", duration(call.age_ms)], ["Waits for", words(call.wait.cause)]]
        .flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
    show($("kill-problem"), false);
    $("kill-yes").disabled = false;
    $("kill").showModal();
    $("kill-no").focus();
    return true;
}

async function kill(say) {
    const call = asked;
    $("kill-yes").disabled = true;
    let problem = "";
    try {
        const answer = await fetch(inside(`streams/kill?id=${encodeURIComponent(call.id)}`), { method: "POST" });
        problem = answer.ok ? "" : (await answer.text()).trim();
    } catch (error) {
        problem = `The gateway did not answer: ${error.message}`;
    }
    if (problem) {
        setText($("kill-problem"), problem);
        show($("kill-problem"), true);
        $("kill-yes").disabled = false;
        return;
    }
    $("kill").close();
    say(`Call ${call.id} is ended`);
}

/** onChange() is called when other streams are asked for; say(text) tells what was done. */
export function beginStreams(onChange, say) {
    let timer = 0;
    changed = () => {
        clearTimeout(timer);
        timer = setTimeout(onChange, 250);
    };
    $("f-wait").append(...WAITS.map((name) => el("option", { value: name }, words(name))));
    for (const name of [...TEXTS, "wait", "sort"]) {
        $(`f-${name}`).addEventListener("input", changed);
    }
    $("f-clear").addEventListener("click", () => {
        for (const name of [...TEXTS, "wait"]) {
            $(`f-${name}`).value = "";
        }
        changed();
    });
    $("kill-no").addEventListener("click", () => $("kill").close());
    $("kill-yes").addEventListener("click", () => kill(say));
}
