// Numbers at the top, and the tables: waits, methods, endpoints and pools, limits, events.
import { $, el, fillTable, setText, show, sync } from "./dom.js";
import { bytes, duration, endpointOf, methodOf, number, percent, shown, why, words } from "./format.js";

const EVENTS_KEPT = 200;

// ---- now ----

const TILES = [
    ["Calls", (now) => `${number(now.calls_per_s)} /s`],
    ["Failures", (now) => `${number(now.failures_per_s)} /s`, (now) => now.failures_per_s > 0],
    ["Refused", (now) => `${number(now.refused_per_s)} /s`, (now) => now.refused_per_s > 0],
    ["In progress", (now) => number(now.in_progress)],
    ["Queued", (now) => number(now.queued), (now) => now.queued > 0],
    ["p50", (now) => duration(now.p50_ms)],
    ["p90", (now) => duration(now.p90_ms)],
    ["p99", (now) => duration(now.p99_ms)],
    ["Retries", (now) => `${number(now.retries_per_s)} /s`],
    ["Read", (now) => `${bytes(now.read_bytes_per_s)}/s`],
    ["Written", (now) => `${bytes(now.written_bytes_per_s)}/s`],
    ["Conns in/out", (now) => `${number(now.downstream_connections)} / ${number(now.upstream_connections)}`],
];

export function showTiles({ now }) {
    sync($("tiles"), TILES, ([name]) => name, ([name]) => el("div", {}, el("dt", {}, name), el("dd")), (tile, [, text, bad]) => {
        setText(tile.lastElementChild, text(now));
        tile.className = bad && bad(now) ? "bad" : "";
    });
}

export function showFacts(overview) {
    const { config } = overview;
    setText($("facts"), `${words(overview.state)} · version ${overview.version} · up ${duration(overview.uptime_s * 1000)} · ${overview.workers} worker${overview.workers === 1 ? "" : "s"}`);
    setText($("config"), `Configuration ${shown(config.file)}, generation ${config.generation}, loaded ${shown(String(config.loaded))}. Process ${overview.pid}.` +
        (overview.log && overview.log.dropped ? ` ${number(overview.log.dropped)} lines of the access log were dropped.` : ""));
}

// ---- tables ----

const endpoints = new Map();
const keyOf = (cluster, name) => JSON.stringify([cluster, name]);

export function showMethods({ methods }) {
    fillTable($("method-table"), [
        ["Method", (one) => methodOf(one.method), "name"], ["Cluster", (one) => shown(one.cluster)],
        ["Calls", (one) => `${number(one.calls_per_s)} /s`, "n"], ["Failures", (one) => `${number(one.failures_per_s)} /s`, "n"],
        ["Failed", (one) => el("span", { class: one.failure_ratio > 0 ? "bad" : null }, percent(one.failure_ratio)), "n"],
        ["p50", (one) => duration(one.p50_ms), "n"], ["p90", (one) => duration(one.p90_ms), "n"], ["p99", (one) => duration(one.p99_ms), "n"],
    ], methods, (one) => keyOf(one.cluster, one.method));
    show($("method-table"), methods.length > 0);
    show($("methods-none"), methods.length === 0);
}

export function rememberEndpoints(overview) {
    endpoints.clear();
    overview.endpoints.forEach((one) => endpoints.set(keyOf(one.cluster, one.endpoint), one));
}

const ofLimit = (now, limit) => (limit === null || limit === undefined ? number(now) : `${number(now)} of ${number(limit)}`);

export function showPools({ clusters }) {
    const rows = clusters.flatMap((cluster) => cluster.endpoints.map((one) => ({ ...one, cluster: cluster.name, load: endpoints.get(keyOf(cluster.name, one.address)) ?? {} })));
    fillTable($("pool-table"), [
        ["Endpoint", (one) => endpointOf(one.address), "name"], ["Cluster", (one) => shown(one.cluster)],
        ["Breaker", (one) => el("span", { class: `state ${one.breaker.state}` }, words(one.breaker.state))],
        ["Attempts", (one) => `${number(one.load.attempts_per_s)} /s`, "n"], ["Failures", (one) => `${number(one.load.failures_per_s)} /s`, "n"],
        ["p50", (one) => duration(one.load.p50_ms), "n"], ["p99", (one) => duration(one.load.p99_ms), "n"],
        ["Connections", (one) => number(one.connections) + (one.connecting ? ` + ${one.connecting} opening` : "") + (one.stalled ? `, ${one.stalled} stalled` : ""), "n"],
        ["Streams", (one) => number(one.streams), "n"], ["Waiting", (one) => number(one.waiting), "n"],
    ], rows, (one) => keyOf(one.cluster, one.address));
}

export function showLimits({ clusters }) {
    fillTable($("limit-table"), [
        ["Cluster", (one) => shown(one.name), "name"], ["Calls", ({ gate }) => ofLimit(gate.in_progress, gate.limit), "n"],
        ["Long calls", ({ gate }) => ofLimit(gate.long_in_progress, gate.long_limit), "n"],
        ["Queued", ({ gate }) => ofLimit(gate.pending, gate.pending_limit), "n"], ["Retries", ({ gate }) => number(gate.retries), "n"],
        ["Adaptive", ({ gate }) => (gate.adaptive ? `limit ${number(gate.adaptive.limit)}: ${duration(gate.adaptive.latency_ms)}, usually ${duration(gate.adaptive.baseline_ms)}` : "off")],
    ], clusters, (one) => one.name);
}

// ---- events ----

const key = (event) => String(event.seq);
let events = [];

const circuitOf = (event) => `${methodOf(event.method)} at ${endpointOf(event.endpoint)}`;

function makeEvent(event) {
    const time = new Date(event.time);
    return el("li", {}, el("time", { datetime: event.time, title: event.time }, Number.isNaN(time.getTime()) ? event.time : time.toLocaleTimeString()),
        " ", el("span", { class: `state ${event.to}` }, words(event.to)), " ", el("span", { class: "name" }, circuitOf(event)),
        " ", el("span", { class: "faint" }, event.to === "open" ? why(event) : `was ${words(event.from)}`));
}

/** An event of /live. The sentence that is said of it, when it is one that has just come. */
export function showEvent(event) {
    if (events.length && event.seq < events[0].seq - EVENTS_KEPT) {
        events = []; // another gateway
    }
    if (!events.some((one) => one.seq === event.seq)) {
        events = [event, ...events].sort((a, b) => b.seq - a.seq).slice(0, EVENTS_KEPT);
    }
    sync($("event-list"), events, key, makeEvent, () => {});
    show($("events-none"), false);
    return event.to === "open" ? `Breaker open: ${circuitOf(event)}, ${why(event)}` : "";
}

/** Another gateway counts from the beginning. */
export function forgetEvents() {
    events = [];
}

// ---- waits ----

/** What calls wait for now, and what those waited for that went on in the last seconds. */
export function showWaits({ waits }) {
    const rows = waits.filter((one) => one.calls > 0 || one.ended_per_s > 0).sort((a, b) => b.calls - a.calls);
    fillTable($("wait-table"), [
        ["Waits for", (one) => words(one.cause), "name"], ["Now", (one) => number(one.calls), "n"],
        ["Went on", (one) => `${number(one.ended_per_s)} /s`, "n"], ["after p50", (one) => duration(one.p50_ms), "n"],
        ["p99", (one) => duration(one.p99_ms), "n"],
    ], rows, (one) => one.cause);
    show($("wait-table"), rows.length > 0);
    show($("waits-none"), rows.length === 0);
}
