// Numbers and names as people read them.

/** A name as the gateway tells it: bytes, each as one character. Shown as UTF-8 where it is that, and nothing in it can
 * hide or turn the text around it. */
export function shown(raw) {
    let text = raw;
    if (/[\x80-\xff]/.test(raw) && !/[^\0-\xff]/.test(raw)) {
        try {
            text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(raw, (c) => c.charCodeAt(0)));
        } catch {
            text = raw.replace(/[\x80-\xff]/g, (c) => "\\x" + c.charCodeAt(0).toString(16));
        }
    }
    return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (c) => "\\u{" + c.codePointAt(0).toString(16) + "}");
}

/** The same bytes in a URL. */
export const inUrl = (raw) => raw.replace(/[^A-Za-z0-9._~-]/g, (c) => "%" + c.charCodeAt(0).toString(16).padStart(2, "0"));

export function number(value, digits = 3) {
    if (value === null || value === undefined || !Number.isFinite(value)) {
        return "–";
    }
    for (const [unit, name] of [[1e9, " G"], [1e6, " M"], [1e4, " k"]]) {
        if (Math.abs(value) >= unit) {
            return trim(value / (unit === 1e4 ? 1e3 : unit), digits) + name;
        }
    }
    return trim(value, digits);
}

function trim(value, digits) {
    const whole = Math.trunc(Math.abs(value)).toString().length;
    return String(Number(value.toFixed(Math.max(0, digits - whole))));
}

export const bytes = (value) => number(value).replace(/( [kMG])?$/, (unit) => (unit || " ") + "B");
export const percent = (share) => (Number.isFinite(share) ? `${number(share * 100)} %` : "–");

/** Of milliseconds. */
export function duration(ms) {
    if (!Number.isFinite(ms)) {
        return "–";
    }
    if (ms < 1000) {
        return `${number(ms)} ms`;
    }
    const s = ms / 1000;
    if (s < 60) {
        return `${s.toFixed(s < 10 ? 1 : 0)} s`;
    }
    const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const i = units.findIndex(([size]) => s >= size);
    const [size, name] = units[i], rest = units[i + 1];
    return `${Math.floor(s / size)} ${name}` + (rest ? ` ${Math.floor((s % size) / rest[0])} ${rest[1]}` : "");
}

const CAUSES = {
    consecutive_failures: (o, t) => `${number(o)} failures in a row, ${number(t)} are too many`,
    failure_ratio: (o, t) => `${percent(o)} failed, ${percent(t)} is too much`,
    slow_ratio: (o, t) => `${percent(o)} were slow, ${percent(t)} is too much`,
    probe_failed: () => "the trial call failed",
};

/** Why a breaker is not closed. */
export function why({ cause, observed, threshold }) {
    if (!cause) {
        return "";
    }
    return CAUSES[cause] ? CAUSES[cause](observed, threshold) : `${words(cause)}: ${number(observed)} of ${number(threshold)}`;
}

/** stream_window -> stream window */
export const words = (name) => String(name ?? "").replaceAll("_", " ");

export const methodOf = (raw) => (raw ? shown(raw).replace(/^\//, "") : "all methods");
export const endpointOf = (raw) => (raw ? shown(raw) : "all endpoints");
