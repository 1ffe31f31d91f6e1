// Connect-ES, whatever its transport.
import { ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "../details_pb.js";
import { Failure } from "./failure.js";

function reader(headers) {
    return {
        text: (name) => headers.get(name) ?? undefined,
        bytes: (name) => (headers.has(name) ? decodeBinaryHeader(headers.get(name)) : undefined),
    };
}

async function* each(requests) {
    yield* requests;
}

export function connectClient(transport, traits = {}) {
    async function call(method, request, { metadata = {}, timeoutMs, signal, onReply = () => {} } = {}) {
        const service = createClient(method.parent, transport);
        const replies = [];
        const seen = { header: new Headers(), trailer: new Headers() };
        const options = {
            headers: new Headers(),
            timeoutMs,
            signal,
            onHeader: (headers) => (seen.header = headers),
            onTrailer: (headers) => (seen.trailer = headers),
        };
        for (const [name, value] of Object.entries(metadata)) {
            options.headers.set(name, typeof value === "string" ? value : encodeBinaryHeader(value));
        }
        const add = (reply) => {
            replies.push(reply);
            onReply(reply);
        };
        try {
            const answer = service[method.localName](Array.isArray(request) ? each(request) : request, options);
            if (method.methodKind === "unary" || method.methodKind === "client_streaming") {
                add(await answer);
            } else {
                for await (const reply of answer) {
                    add(reply);
                }
            }
        } catch (cause) {
            const error = ConnectError.from(cause);
            const details = [...error.findDetails(RetryInfoSchema), ...error.findDetails(ErrorInfoSchema)];
            throw new Failure(error.code, error.rawMessage, { details, replies, metadata: reader(error.metadata) });
        }
        return { replies, header: reader(seen.header), trailer: reader(seen.trailer) };
    }
    return { progressive: true, clientStreams: false, close() {}, ...traits, call };
}
