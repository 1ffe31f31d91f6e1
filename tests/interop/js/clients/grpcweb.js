// grpc-web, with the method descriptors that its generated code would have made.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import grpcWeb from "grpc-web";
import { Failure, detailsOf, fromBase64, toBase64 } from "./failure.js";

const { GrpcWebClientBase, MethodDescriptor, MethodType } = grpcWeb;

function reader(metadata = {}) {
    return {
        text: (name) => metadata[name],
        bytes: (name) => (name in metadata ? fromBase64(metadata[name]) : undefined),
    };
}

function descriptorOf(path, method) {
    const kind = method.methodKind === "unary" ? MethodType.UNARY : MethodType.SERVER_STREAMING;
    return new MethodDescriptor(path, kind, Object, Object, (message) => toBinary(method.input, message),
        (bytes) => fromBinary(method.output, bytes));
}

function headersOf(metadata, timeoutMs) {
    const headers = {};
    for (const [name, value] of Object.entries(metadata)) {
        headers[name] = typeof value === "string" ? value : toBase64(value);
    }
    if (timeoutMs !== undefined) {
        headers.deadline = String(Date.now() + timeoutMs);
    }
    return headers;
}

/** format: "text" (grpcwebtext) or "binary" (grpcweb), in which messages come all at once at the end. */
export function grpcWebClient(base, format, options = {}) {
    const client = new GrpcWebClientBase({ format: format === "text" ? "text" : "binary", ...options });

    function call(method, request, { metadata = {}, timeoutMs, signal, onReply = () => {} } = {}) {
        const path = `/${method.parent.typeName}/${method.name}`;
        const replies = [];
        let header = {};
        let trailer = {};
        return new Promise((resolve, reject) => {
            const fail = (error) => {
                const bytes = error.metadata?.["grpc-status-details-bin"];
                reject(new Failure(error.code, error.message, {
                    details: detailsOf(bytes && fromBase64(bytes)),
                    replies,
                    metadata: reader({ ...header, ...trailer, ...error.metadata }),
                }));
            };
            const add = (reply) => {
                replies.push(reply);
                onReply(reply);
            };
            const end = () => resolve({ replies, header: reader(header), trailer: reader(trailer) });
            const message = create(method.input, request);
            const what = [base + path, message, headersOf(metadata, timeoutMs), descriptorOf(path, method)];
            const unary = method.methodKind === "unary";
            const stream = unary
                ? client.rpcCall(...what, (error, reply) => (error ? fail(error) : add(reply)))
                : client.serverStreaming(...what);
            stream.on("metadata", (value) => (header = value));
            stream.on("status", (status) => (trailer = status.metadata ?? {}));
            stream.on("end", end);
            if (!unary) {
                stream.on("data", add);
                stream.on("error", fail);
            }
            signal?.addEventListener("abort", () => {
                stream.cancel();
                reject(new Failure(1, "cancelled", { replies }));
            });
        });
    }
    return { progressive: format === "text", clientStreams: false, close() {}, call };
}
