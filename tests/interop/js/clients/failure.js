// What every client's calls have in common for the cases: call(METHOD, REQUEST, OPTIONS) -> {replies, header, trailer}.
//
// METHOD: a method of a protobuf-es service. REQUEST: one message's fields, or a list of them where the client sends a stream.
// OPTIONS: metadata {name: text, or bytes for -bin}, timeoutMs, signal (AbortSignal), onReply(reply).
// header and trailer: text(NAME), bytes(NAME); undefined when absent. A call that does not end well throws a Failure.
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema, RetryInfoSchema, StatusSchema } from "../details_pb.js";

export class Failure extends Error {
    /** details: RetryInfo and ErrorInfo messages; replies: those that came before; metadata: header and trailer. */
    constructor(code, message, { details = [], replies = [], metadata } = {}) {
        super(message);
        const first = (schema) => details.find((detail) => detail.$typeName === schema.typeName);
        const retry = first(RetryInfoSchema);
        this.code = code;
        this.info = first(ErrorInfoSchema);
        this.retryMs = retry && Number(retry.retryDelay.seconds) * 1000 + retry.retryDelay.nanos / 1e6;
        this.replies = replies;
        this.metadata = metadata;
    }
}

/** The details in the value of grpc-status-details-bin. */
export function detailsOf(bytes) {
    if (!bytes) {
        return [];
    }
    const status = fromBinary(StatusSchema, bytes);
    return status.details
        .map((any) => anyUnpack(any, RetryInfoSchema) ?? anyUnpack(any, ErrorInfoSchema))
        .filter((detail) => detail);
}

/** bytes <-> base64, in Node and in browsers; what is read may lack its padding. */
export function toBase64(bytes) {
    return btoa(String.fromCharCode(...bytes));
}

export function fromBase64(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
