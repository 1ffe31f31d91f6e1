// The board of breakers: those that are not closed first, with why and until when; then all, method by endpoint.
import { $, el, inside, setText, show, sync } from "./dom.js";
import { duration, endpointOf, inUrl, methodOf, number, percent, shown, why, words } from "./format.js";

const keyOf = (one) => JSON.stringify([one.cluster, one.endpoint, one.method]);
const isTripped = (one) => one.state !== "closed";
let latest = null;

/** An element with data-until (performance.now()) counts down by itself. */
function until(element, ms) {
    element.dataset.until = String(performance.now() + ms);
    tick(element);
}

function tick(element) {
    const left = Number(element.dataset.until) - performance.now();
    setText(element, left > 0 ? `tried again in ${duration(left < 10000 ? left : Math.round(left / 1000) * 1000)}` : "tried again with the next call");
}

export function tickAll() {
    document.querySelectorAll("[data-until]").forEach(tick);
}

const stateMark = (state) => el("span", { class: `state ${state}` }, words(state));

function makeCard(one) {
    return el("li", { class: "card" }, el("div", { class: "card-top" }, el("span", { class: "state" }), el("span", { class: "when faint" })),
        el("button", { type: "button", class: "name plain", onclick: () => openCircuit(one) }),
        el("div", { class: "where" }), el("div", { class: "why" }), el("div", { class: "next" }));
}

function fillCard(card, one) {
    const state = card.querySelector(".state"), next = card.querySelector(".next");
    state.className = `state ${one.state}`;
    card.className = `card is-${one.state}`;
    setText(state, words(one.state));
    setText(card.querySelector(".when"), one.since_ms === undefined ? "" : `for ${duration(one.since_ms)}`);
    setText(card.querySelector(".name"), methodOf(one.method));
    setText(card.querySelector(".where"), `at ${endpointOf(one.endpoint)} of ${shown(one.cluster)}`);
    setText(card.querySelector(".why"), why(one));
    if (one.state === "open") {
        until(next, one.retry_in_ms);
    } else {
        delete next.dataset.until;
        setText(next, `on trial: ${one.permits_out} call${one.permits_out === 1 ? "" : "s"} under way`);
    }
    next.title = `${number(one.refused)} calls were refused, ${number(one.trips)} trips`;
}

function fillCell(button, one) {
    button.className = `state plain ${one.state}`;
    setText(button, one.state === "closed" && one.calls > 0 ? `closed ${percent(one.failures / one.calls)}` : words(one.state));
    button.setAttribute("aria-label", `${words(one.state)}: ${methodOf(one.method)} at ${endpointOf(one.endpoint)}; details`);
    button.title = `${number(one.calls)} calls, ${number(one.failures)} failures in the window`;
    button.onclick = () => openCircuit(one);
}

/** One table for each cluster. */
function fillTable(table, circuits) {
    const endpoints = [...new Set(circuits.map((one) => one.endpoint))];
    const methods = [...new Set(circuits.map((one) => one.method))].sort((a, b) => (a === "" ? -1 : b === "" ? 1 : 0));
    const of = new Map(circuits.map((one) => [keyOf(one), one]));
    const cluster = circuits[0].cluster;
    setText(table.caption, `Cluster ${shown(cluster)}`);
    sync(table.tHead.rows[0], ["", ...endpoints.map((one) => "e" + one)], (one) => one, () => el("th", { scope: "col" }),
        (cell, one) => setText(cell, one === "" ? "Method" : endpointOf(one.slice(1))));
    sync(table.tBodies[0], methods, (one) => "m" + one, () => el("tr", {}, el("th", { scope: "row" })), (row, method) => {
        setText(row.cells[0], method ? methodOf(method) : "the endpoint as a whole");
        row.cells[0].dataset.key = "";
        sync(row, ["", ...endpoints.map((one) => "e" + one)], (one) => one, () => el("td"), (cell, one) => {
            const circuit = one && of.get(keyOf({ cluster, endpoint: one.slice(1), method }));
            if (circuit) {
                fillCell(cell.firstElementChild ?? cell.appendChild(el("button", { type: "button" })), circuit);
            } else if (one) {
                cell.replaceChildren();
            }
        });
    });
}

function fillBoard() {
    const { all } = latest;
    const only = $("board-only").checked;
    const clusters = new Map();
    for (const one of all.breakers) {
        if (!only || isTripped(one)) {
            clusters.set(one.cluster, [...(clusters.get(one.cluster) ?? []), one]);
        }
    }
    sync($("board"), [...clusters], ([name]) => name, () => el("table", { class: "board" }, el("caption"), el("thead", {}, el("tr")), el("tbody")),
        (table, [, circuits]) => fillTable(table, circuits));
    setText($("board-none"), only && all.breakers.length ? "All circuits are closed." : all.left_out
        ? `${all.left_out} more circuits are not shown; /breakers has them.`
        : "No call has come yet. Each method has a circuit at each endpoint, and each endpoint has one for all of its calls.");
    show($("board-none"), clusters.size === 0 || all.left_out > 0);
}

/** The picture of /live: {open, half_open, all}. */
export function showBreakers(picture) {
    latest = picture;
    const open = picture.open.breakers, trial = picture.half_open.breakers;
    const more = picture.open.left_out + picture.half_open.left_out;
    sync($("tripped"), [...open, ...trial], keyOf, makeCard, fillCard);
    show($("tripped-none"), open.length + trial.length === 0);
    const counts = `${open.length + picture.open.left_out} open, ${trial.length + picture.half_open.left_out} half open` +
        (more ? ` (${more} not shown)` : "");
    setText($("breakers-count"), counts);
    document.title = open.length ? `(${open.length} open) fusegate` : "fusegate";
    if (picture.all) {
        fillBoard();
    }
}

// ---- everything about one ----

const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];

function circuitFacts(one) {
    const { window } = one;
    const facts = el("dl", { class: "facts" }, ...fact("State", stateMark(one.state)), ...fact("Why", why(one) || "–"),
        ...fact("Window", `${duration(window.ms)}: ${number(window.calls)} calls, ${number(window.failures)} failures, ${number(window.slow)} slow`),
        ...fact("Pause", duration(one.pause_ms)), ...fact("Trips", number(one.trips)),
        ...fact("Refused", `${number(one.refused)} calls, ${number(one.shed)} more shed`),
        ...one.thresholds.flatMap((each) => fact(each.priority === undefined ? "Trips at" : `Trips at, priority ${each.priority}`,
            `${each.consecutive_failures} failures in a row, or ${percent(each.failure_ratio)} of at least ${one.minimum_calls} calls`)));
    const outcomes = el("ol", { class: "events" }, ...one.outcomes.map((each) => el("li", {},
        `${duration(each.age_ms)} ago: ${each.code} (${words(each.class)}, ${words(each.source)}), ${duration(each.duration_ms)}${each.slow ? ", slow" : ""}`)));
    return [facts, el("h3", {}, "Latest outcomes"), one.outcomes.length ? outcomes : el("p", { class: "empty" }, "No call has ended yet.")];
}

async function openCircuit(one) {
    const body = $("circuit-body");
    setText($("circuit-title"), `${methodOf(one.method)} at ${endpointOf(one.endpoint)}`);
    body.replaceChildren(el("p", { class: "faint" }, "asking…"));
    $("circuit").showModal();
    try {
        const answer = await fetch(inside(`breakers/${inUrl(one.cluster)}/${inUrl(one.endpoint)}?method=${inUrl(one.method)}`));
        if (!answer.ok) {
            throw new Error(await answer.text());
        }
        body.replaceChildren(...circuitFacts(await answer.json()));
    } catch (error) {
        body.replaceChildren(el("p", { class: "problem" }, `It cannot be told: ${error.message}`));
    }
}

export function beginBoard() {
    $("board-all").open = !matchMedia("(max-width: 640px)").matches; // on a phone the tripped ones come first, and then the rest
    $("board-only").addEventListener("change", () => latest && fillBoard());
    $("circuit-close").addEventListener("click", () => $("circuit").close());
}
