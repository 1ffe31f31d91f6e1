// @grpc/grpc-js.
import { create } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { definitionOf } from "../server.js";
import { Failure, detailsOf } from "./failure.js";

function reader(metadata) {
    const get = (name) => metadata?.get(name)[0];
    return { text: get, bytes: get };
}

export function grpcJsClient(address, credentials = grpc.credentials.createInsecure(), options = {}) {
    const channel = new grpc.Client(address, credentials, options);

    function start(method, request, metadata, options, answer) {
        const how = definitionOf(method.parent)[method.localName];
        const what = [how.path, how.requestSerialize, how.responseDeserialize];
        const one = Array.isArray(request) ? [] : [create(method.input, request)];
        switch (method.methodKind) {
        case "unary":
            return channel.makeUnaryRequest(...what, ...one, metadata, options, answer);
        case "client_streaming":
            return channel.makeClientStreamRequest(...what, metadata, options, answer);
        case "server_streaming":
            return channel.makeServerStreamRequest(...what, ...one, metadata, options);
        default:
            return channel.makeBidiStreamRequest(...what, metadata, options);
        }
    }

    function call(method, request, { metadata = {}, timeoutMs, signal, onReply = () => {} } = {}) {
        const sent = new grpc.Metadata();
        for (const [name, value] of Object.entries(metadata)) {
            sent.set(name, typeof value === "string" ? value : Buffer.from(value));
        }
        const options = timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
        const replies = [];
        let header = new grpc.Metadata();
        return new Promise((resolve, reject) => {
            const fail = (error) => reject(new Failure(error.code, error.details, {
                details: detailsOf(error.metadata?.get("grpc-status-details-bin")[0]),
                replies,
                metadata: reader(error.metadata),
            }));
            const add = (reply) => {
                replies.push(reply);
                onReply(reply);
            };
            const running = start(method, request, sent, options, (error, reply) => (error ? fail(error) : add(reply)));
            running.on("metadata", (value) => (header = value));
            let status;
            let ended = method.methodKind === "unary" || method.methodKind === "client_streaming";
            const finish = () => {
                if (ended && status?.code === grpc.status.OK) {
                    resolve({ replies, header: reader(header), trailer: reader(status.metadata) });
                }
            };
            if (!ended) {
                running.on("data", add);
                running.on("error", fail);
                running.on("end", () => {
                    ended = true;
                    finish();
                });
            }
            running.on("status", (value) => {
                status = value;
                finish();
            });
            if (Array.isArray(request)) {
                request.forEach((message) => running.write(create(method.input, message)));
                running.end();
            }
            signal?.addEventListener("abort", () => running.cancel());
        });
    }
    return { progressive: true, clientStreams: true, close: () => channel.close(), call };
}
