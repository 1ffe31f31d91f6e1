// What every client does through the gateway. The same code runs in Node and in pages.
import { Echo, Nobody } from "./echo_pb.js";
import { Failure } from "./clients/failure.js";

const { unary, read, serverStream, clientStream, bidi, release, arrived, cancelled } = Echo.method;
const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);
const METADATA = { "x-mine": "blue, green", "x-mine-bin": BYTES };
const PATIENCE_MS = 10_000;

let names = 0;
const newName = () => `${Math.random().toString(36).slice(2)}-${names++}`;

function shown(value) {
    return JSON.stringify(value, function plain(key, inner) {
        if (typeof inner === "bigint") {
            return `${inner}n`;
        }
        return this[key] instanceof Uint8Array ? `bytes ${this[key].join(" ")}` : inner;
    }) ?? "undefined";
}

function same(actual, expected, what) {
    if (shown(actual) !== shown(expected)) {
        throw new Error(`${what}: ${shown(actual).slice(0, 500)} instead of ${shown(expected).slice(0, 500)}`);
    }
}

function check(condition, what) {
    if (!condition) {
        throw new Error(what);
    }
}

async function failureOf(promise) {
    try {
        await promise;
    } catch (error) {
        check(error instanceof Failure, `not a status of the call: ${error.stack ?? error}`);
        return error;
    }
    throw new Error("the call ended well");
}

const textsOf = (replies) => replies.map((reply) => reply.text);

async function answersUnary({ call }) {
    const request = { text: "Grüße, 世界 🚚", data: BYTES, number: 9007199254740993n };
    const { replies } = await call(unary, request);
    same(replies.length, 1, "replies");
    const { text, data, number, deadlineMs } = replies[0];
    same({ text, data, number }, request, "the reply");
    same(deadlineMs, 0n, "a deadline that nobody asked for");
    same((await call(unary, {})).replies[0].text, "", "an empty message");
}

async function reads({ call }) {
    const request = { text: "Grüße, 世界 🚚?&%=+", data: BYTES, number: -1n };
    const { replies, header, trailer } = await call(read, request, { metadata: METADATA });
    const { text, data, number } = replies[0];
    same({ text, data, number }, request, "the reply");
    same([header.text("x-mine"), trailer.bytes("x-last-bin")], ["blue, green", BYTES], "header and trailer");
    const failure = await failureOf(call(read, { code: 5, message: "nothing to read", reason: "NOTHING" }));
    same([failure.code, failure.message, failure.info?.reason], [5, "nothing to read", "NOTHING"], "the failure");
}

async function answersLargeUnary({ call }) {
    const data = new Uint8Array(700_000).map((_, i) => (i * 31) >> 3);
    const { replies } = await call(unary, { data });
    check(replies[0].data.length === data.length && replies[0].data.every((byte, i) => byte === data[i]),
        "700 kB came back changed");
}

async function failsWithDetails({ call }) {
    const message = "no order 17: 100 % gone, Grüße 🚚";
    const request = { code: 5, message, retryMs: 1500n, reason: "ORDER_GONE" };
    const failure = await failureOf(call(unary, request, { metadata: METADATA }));
    same(failure.code, 5, "the code");
    same(failure.message, message, "the message");
    same(failure.retryMs, 1500, "RetryInfo");
    same(failure.info?.reason, "ORDER_GONE", "the reason of ErrorInfo");
    same(failure.info.domain, "interop.example", "the domain of ErrorInfo");
    same(failure.info.metadata, { of: "the endpoint" }, "the metadata of ErrorInfo");
    same(failure.metadata.text("x-last"), "blue, green", "a trailer of a failed call");
    same(failure.metadata.bytes("x-last-bin"), BYTES, "a binary trailer of a failed call");
}

async function knowsEveryCode({ call }) {
    for (let code = 1; code <= 16; code++) {
        const failure = await failureOf(call(unary, { code, message: `code ${code}` }));
        same([failure.code, failure.message], [code, `code ${code}`], "code and message");
    }
}

async function readsMetadata({ call }) {
    for (const [method, request] of [[unary, {}], [serverStream, { count: 1 }]]) {
        const { header, trailer } = await call(method, request, { metadata: METADATA });
        same(header.text("x-mine"), "blue, green", `${method.name}: a header`);
        same(header.bytes("x-mine-bin"), BYTES, `${method.name}: a binary header`);
        same(trailer.text("x-last"), "blue, green", `${method.name}: a trailer`);
        same(trailer.bytes("x-last-bin"), BYTES, `${method.name}: a binary trailer`);
    }
}

async function streams({ call }) {
    const { replies, trailer } = await call(serverStream, { text: "no", count: 40, data: BYTES }, { metadata: METADATA });
    same(textsOf(replies), Array.from({ length: 40 }, (_, i) => `no ${i}`), "the messages");
    check(replies.every((reply) => shown(reply.data) === shown(BYTES)), "the bytes of a message have changed");
    same(trailer.text("x-last"), "blue, green", "the trailer");
    same((await call(serverStream, { count: 0 })).replies, [], "a stream without messages");
}

// The second message leaves the server only after the client has seen the first.
async function streamsAsItHappens({ call }) {
    const gate = newName();
    let released;
    const onReply = () => (released ??= call(release, { text: gate }));
    const { replies } = await call(serverStream, { text: "no", count: 3, gate }, { onReply, timeoutMs: PATIENCE_MS });
    await released;
    same(textsOf(replies), ["no 0", "no 1", "no 2"], "the messages");
}

async function failsAmidStream({ call }) {
    const request = { text: "no", count: 3, code: 10, message: "torn apart", reason: "TORN", retryMs: 20n };
    const failure = await failureOf(call(serverStream, request, { metadata: METADATA }));
    same(textsOf(failure.replies), ["no 0", "no 1", "no 2"], "the messages before the failure");
    same([failure.code, failure.message], [10, "torn apart"], "code and message");
    same([failure.info?.reason, failure.retryMs], ["TORN", 20], "the details");
    same(failure.metadata.text("x-last"), "blue, green", "the trailer");
}

async function keepsDeadlines({ call }) {
    const { replies } = await call(unary, {}, { timeoutMs: 5000 });
    const left = Number(replies[0].deadlineMs);
    check(left > 1000 && left <= 5001, `the server was told ${left} ms of 5000`);
    await Promise.all([[unary, {}], [serverStream, { count: 2 }]].map(async ([method, more]) => {
        const hang = newName();
        const begin = Date.now();
        const failure = await failureOf(call(method, { hang, ...more }, { timeoutMs: 250 }));
        const waited = Date.now() - begin;
        same(failure.code, 4, `${method.name}: DEADLINE_EXCEEDED`);
        check(waited >= 200 && waited < 5000, `${method.name}: 250 ms took ${waited} ms`);
        await call(cancelled, { text: hang }, { timeoutMs: PATIENCE_MS });
    }));
}

// A stream is cancelled after its first message where that can be seen, anything else once it is at the server.
async function cancels({ call, progressive }) {
    for (const [method, more] of [[unary, {}], [serverStream, { count: 1 }]]) {
        const hang = newName();
        const controller = new AbortController();
        let replied;
        const firstReply = new Promise((resolve) => (replied = resolve));
        const options = { signal: controller.signal, onReply: replied, timeoutMs: PATIENCE_MS };
        const running = failureOf(call(method, { hang, ...more }, options));
        await call(arrived, { text: hang }, { timeoutMs: PATIENCE_MS });
        if (progressive && method === serverStream) {
            await Promise.race([firstReply, running]);
        }
        controller.abort();
        same((await running).code, 1, `${method.name}: CANCELLED`);
        await call(cancelled, { text: hang }, { timeoutMs: PATIENCE_MS });
    }
}

async function readsTheGateway({ call }) {
    const failure = await failureOf(call(Nobody.method.call, {}));
    same(failure.code, 14, "UNAVAILABLE");
    same(failure.info?.domain, "fusegate", "the domain of ErrorInfo");
    const origins = failure.metadata.text("x-fusegate-origin") ?? ""; // gRPC-Web: in header and trailers, which a client may join
    same([...new Set(origins.split(", "))], ["local_connect"], "x-fusegate-origin");
}

async function sendsStreams({ call }) {
    const many = Array.from({ length: 50 }, (_, i) => ({ text: `${i}` }));
    const sum = await call(clientStream, many, { metadata: METADATA });
    same(sum.replies[0].number, 50n, "the messages that the server counted");
    same(sum.trailer.bytes("x-last-bin"), BYTES, "the trailer");
    const failing = await failureOf(call(clientStream, [...many, { code: 9, message: "too many", reason: "MANY" }]));
    same([failing.code, failing.message, failing.info?.reason], [9, "too many", "MANY"], "the failure");
    const echo = await call(bidi, many, { metadata: METADATA });
    same(textsOf(echo.replies), many.map(({ text }) => text), "the echo");
    same(echo.trailer.text("x-last"), "blue, green", "the trailer");
    const torn = await failureOf(call(bidi, [{ text: "a" }, { code: 10, message: "torn apart" }]));
    same([textsOf(torn.replies), torn.code], [["a"], 10], "what came before the failure");
}

/** [NAME, FUNCTION] of what this client can do. */
export function casesFor(client) {
    return [
        ["unary", answersUnary],
        ["unary without side effects", reads],
        ["large unary", answersLargeUnary],
        ["unary error with details", failsWithDetails],
        ["every code", knowsEveryCode],
        ["metadata both ways", readsMetadata],
        ["server stream with trailers", streams],
        ...(client.progressive ? [["messages as they are sent", streamsAsItHappens]] : []),
        ["error in the middle of a stream", failsAmidStream],
        ["deadline", keepsDeadlines],
        ["cancelled calls", cancels],
        ["failure made by the gateway", readsTheGateway],
        ...(client.clientStreams ? [["client and bidirectional streams", sendsStreams]] : []),
    ];
}

/** A page of an origin that may not call: no answer and no reason can be read. */
export async function isRefused({ call }) {
    for (const [method, request] of [[unary, {}], [serverStream, { count: 2 }]]) {
        const failure = await failureOf(call(method, request));
        check([2, 14].includes(failure.code), `${method.name}: code ${failure.code}: ${failure.message}`);
        same(failure.replies, [], `${method.name}: replies`);
        same(failure.metadata?.text("x-fusegate-origin"), undefined, `${method.name}: a header that is not ours to read`);
    }
}
