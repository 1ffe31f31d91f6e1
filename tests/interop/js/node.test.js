// The clients for Node.
import { after, test } from "node:test";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import xhr2 from "xhr2";
import { casesFor } from "./cases.js";
import { connectClient } from "./clients/connect.js";
import { grpcJsClient } from "./clients/grpcjs.js";
import { grpcWebClient } from "./clients/grpcweb.js";
import { startStand } from "./stand.js";

// As in browsers, text can be read while it arrives; base64 has no character of several bytes.
globalThis.XMLHttpRequest = class extends xhr2.XMLHttpRequest {
    _onHttpResponseData(response, data) {
        const loading = this.readyState === xhr2.XMLHttpRequest.LOADING;
        if (this.responseType === "") {
            this.responseText = (this.responseText ?? "") + data.toString("latin1");
        }
        super._onHttpResponseData(response, data);
        if (loading) {
            this._setReadyState(xhr2.XMLHttpRequest.LOADING);
        }
    }
};
const stand = await startStand();

const plain = { baseUrl: `http://${stand.plain}` };
const secure = { baseUrl: `https://${stand.tls}`, nodeOptions: { ca: stand.cert } };
const json = { useBinaryFormat: false };
const sends = { clientStreams: true };

const clients = {
    "grpc-js": () => grpcJsClient(stand.plain),
    "grpc-js, TLS": () => grpcJsClient(stand.tls, grpc.credentials.createSsl(stand.cert),
        { "grpc.ssl_target_name_override": "localhost" }),
    "grpc-web, binary": () => grpcWebClient(plain.baseUrl, "binary"),
    "grpc-web, text": () => grpcWebClient(plain.baseUrl, "text"),
};
for (const [format, options] of [["protobuf", {}], ["JSON", json]]) {
    for (const [protocol, create] of [["Connect", createConnectTransport], ["gRPC-Web", createGrpcWebTransport]]) {
        for (const [version, httpVersion, where] of [["HTTP/1.1", "1.1", plain], ["h2c", "2", plain], ["TLS", "2", secure]]) {
            clients[`Connect-ES, ${protocol}, ${format}, ${version}`] = () =>
                connectClient(create({ httpVersion, ...where, ...options }), sends);
        }
    }
    for (const [version, where] of [["h2c", plain], ["TLS", secure]]) {
        clients[`Connect-ES, gRPC, ${format}, ${version}`] = () =>
            connectClient(createGrpcTransport({ ...where, ...options }), sends);
    }
}

for (const [version, httpVersion] of [["HTTP/1.1", "1.1"], ["h2c", "2"]]) {
    clients[`Connect-ES, Connect by GET, protobuf, ${version}`] = () =>
        connectClient(createConnectTransport({ httpVersion, ...plain, useHttpGet: true }), sends);
}

for (const [name, start] of Object.entries(clients)) {
    test(`client: ${name}`, async (t) => {
        const client = start();
        for (const [title, run] of casesFor(client)) {
            await t.test(title, { timeout: 20_000 }, () => run(client));
        }
        await t.test("nothing is left open", () => stand.atRest());
        client.close();
    });
}

after(() => stand.stop());
