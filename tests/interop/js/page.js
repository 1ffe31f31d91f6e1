// Runs the clients for browsers in a page, and posts what came of it to the page's own server, which says where to go next.
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { casesFor, isRefused } from "./cases.js";
import { connectClient } from "./clients/connect.js";
import { grpcWebClient } from "./clients/grpcweb.js";

function clientsOf(base) {
    const cookies = { fetch: (input, init) => fetch(input, { ...init, credentials: "include" }) };
    return {
        "grpc-web, binary": grpcWebClient(base, "binary"),
        "grpc-web, text": grpcWebClient(base, "text", { withCredentials: true }),
        "Connect-ES, Connect, protobuf": connectClient(createConnectTransport({ baseUrl: base, useBinaryFormat: true, ...cookies })),
        "Connect-ES, Connect, JSON": connectClient(createConnectTransport({ baseUrl: base, useHttpGet: true })),
        "Connect-ES, gRPC-Web, protobuf": connectClient(createGrpcWebTransport({ baseUrl: base })),
        "Connect-ES, gRPC-Web, JSON": connectClient(createGrpcWebTransport({ baseUrl: base, useBinaryFormat: false })),
    };
}

/** {case, error}: error is null when it went well. */
async function outcomeOf(title, run, client) {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("not within 20 s")), 20_000)));
    try {
        await Promise.race([run(client), late]);
        return { title, error: null };
    } catch (error) {
        return { title, error: `${error.stack ?? error}` };
    } finally {
        clearTimeout(timer);
    }
}

async function post(path, value) {
    return (await fetch(path, { method: "POST", body: JSON.stringify(value) })).json();
}

async function main() {
    const { gateways, refused } = await (await fetch("plan.json")).json();
    for (const [way, base] of Object.entries(gateways)) {
        for (const [name, client] of Object.entries(clientsOf(base))) {
            const outcomes = [];
            for (const [title, run] of refused ? [["refused", isRefused]] : casesFor(client)) {
                outcomes.push(await outcomeOf(title, run, client));
            }
            await post("outcomes", { name: `${name}, ${way}`, outcomes });
        }
    }
    const { next } = await post("done", {});
    if (next) {
        location.href = next;
    }
}

main().catch((error) => post("done", { error: `${error.stack ?? error}` }));
