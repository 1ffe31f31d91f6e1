// A grpc-js server of echo.proto. It speaks gRPC over HTTP/2 and nothing else.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import { ErrorInfoSchema, RetryInfoSchema, StatusSchema } from "./details_pb.js";
import { Echo, ReplySchema } from "./echo_pb.js";

/** A protobuf-es service as grpc-js wants it. */
export function definitionOf(service) {
    const write = (schema) => (message) => Buffer.from(toBinary(schema, message));
    const read = (schema) => (bytes) => fromBinary(schema, bytes);
    return Object.fromEntries(service.methods.map((method) => [method.localName, {
        path: `/${service.typeName}/${method.name}`,
        requestStream: method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
        responseStream: method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
        requestSerialize: write(method.input),
        requestDeserialize: read(method.input),
        responseSerialize: write(method.output),
        responseDeserialize: read(method.output),
    }]));
}

/** Names that are awaited by one call and announced by another, in either order. */
class Events {
    #known = new Map();

    #event(name) {
        if (!this.#known.has(name)) {
            const event = {};
            event.promise = new Promise((resolve) => (event.resolve = resolve));
            this.#known.set(name, event);
        }
        return this.#known.get(name);
    }

    announce(name) {
        this.#event(name).resolve();
    }

    wait(name) {
        return this.#event(name).promise;
    }
}

/** The headers x-mine and x-mine-bin come back in the header, and as x-last and x-last-bin in the trailers. */
function metadataOf(call) {
    const header = new grpc.Metadata();
    const trailer = new grpc.Metadata();
    for (const suffix of ["", "-bin"]) {
        for (const value of call.metadata.get(`x-mine${suffix}`)) {
            header.add(`x-mine${suffix}`, value);
            trailer.add(`x-last${suffix}`, value);
        }
    }
    return { header, trailer };
}

function failure(request, trailer) {
    const details = [];
    if (request.retryMs) {
        const retryDelay = { seconds: request.retryMs / 1000n, nanos: Number(request.retryMs % 1000n) * 1e6 };
        details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
    }
    if (request.reason) {
        const metadata = { of: "the endpoint" };
        const info = create(ErrorInfoSchema, { reason: request.reason, domain: "interop.example", metadata });
        details.push(anyPack(ErrorInfoSchema, info));
    }
    if (details.length > 0) {
        const status = create(StatusSchema, { code: request.code, message: request.message, details });
        trailer.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
    }
    return { code: request.code, details: request.message, metadata: trailer };
}

function deadlineOf(call) {
    const deadline = call.getDeadline();
    return deadline === Infinity ? 0n : BigInt(Math.round(Number(deadline) - Date.now()));
}

function replyTo(call, request, text = request.text) {
    return create(ReplySchema, { text, data: request.data, number: request.number, deadlineMs: deadlineOf(call) });
}

/** Starts the server on a free port of the loopback. calls(): how many calls it has seen. */
export async function startServer() {
    const released = new Events();
    const arrived = new Events();
    const cancelled = new Events();
    let calls = 0;

    const hangs = (call, name) => {
        arrived.announce(name);
        call.on("cancelled", () => cancelled.announce(name));
        if (call.cancelled) {
            cancelled.announce(name);
        }
    };
    const unary = (call, answer) => {
        const { header, trailer } = metadataOf(call);
        calls++;
        if (call.request.hang) {
            return hangs(call, call.request.hang);
        }
        call.sendMetadata(header);
        if (call.request.code) {
            return answer(failure(call.request, trailer));
        }
        answer(null, replyTo(call, call.request), trailer);
    };
    const handlers = {
        unary,
        read: unary,
        async serverStream(call) {
            const { header, trailer } = metadataOf(call);
            const request = call.request;
            calls++;
            call.sendMetadata(header);
            for (let i = 0; i < request.count; i++) {
                call.write(replyTo(call, request, `${request.text} ${i}`));
                if (i === 0 && request.gate) {
                    await released.wait(request.gate);
                }
            }
            if (request.hang) {
                return hangs(call, request.hang);
            }
            if (request.code) {
                return call.emit("error", failure(request, trailer));
            }
            call.end(trailer);
        },
        clientStream(call, answer) {
            const { header, trailer } = metadataOf(call);
            const seen = [];
            calls++;
            call.sendMetadata(header);
            call.on("data", (request) => seen.push(request));
            call.on("end", () => {
                const failing = seen.find((request) => request.code);
                if (failing) {
                    return answer(failure(failing, trailer));
                }
                const text = seen.map((request) => request.text).join(" ");
                answer(null, create(ReplySchema, { text, number: BigInt(seen.length) }), trailer);
            });
        },
        bidi(call) {
            const { header, trailer } = metadataOf(call);
            calls++;
            call.sendMetadata(header);
            call.on("data", (request) => {
                if (request.code) {
                    call.emit("error", failure(request, trailer));
                } else {
                    call.write(replyTo(call, request));
                }
            });
            call.on("end", () => call.end(trailer));
        },
        release(call, answer) {
            released.announce(call.request.text);
            answer(null, replyTo(call, call.request));
        },
        arrived(call, answer) {
            arrived.wait(call.request.text).then(() => answer(null, replyTo(call, call.request)));
        },
        cancelled(call, answer) {
            cancelled.wait(call.request.text).then(() => answer(null, replyTo(call, call.request)));
        },
    };

    const server = new grpc.Server();
    server.addService(definitionOf(Echo), handlers);
    const port = await new Promise((resolve, reject) => {
        server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(),
            (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    return { address: `127.0.0.1:${port}`, calls: () => calls, stop: () => server.forceShutdown() };
}
