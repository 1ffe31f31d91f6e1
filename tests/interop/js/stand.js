// The endpoint, and the real gateway in front of it. FUSEGATE_BIN: the gateway's binary.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "./server.js";

const here = path.dirname(fileURLToPath(import.meta.url));
const GAUGES = ["downstream_streams", "upstream_streams", "calls_active", "attempts_active", "calls_pending"];
const PATIENCE_MS = 10_000;

/** Ports that were free a moment ago, all different. */
async function freePorts(count) {
    const servers = Array.from({ length: count }, () => net.createServer().listen(0, "127.0.0.1"));
    await Promise.all(servers.map((server) => new Promise((resolve) => server.once("listening", resolve))));
    const ports = servers.map((server) => server.address().port);
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    return ports;
}

async function until(what, condition) {
    const end = Date.now() + PATIENCE_MS;
    let value = await condition();
    while (value !== true) {
        if (Date.now() > end) {
            throw new Error(`not within ${PATIENCE_MS} ms: ${what}: ${value}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
        value = await condition();
    }
}

function certificate(folder) {
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], { cwd: folder, stdio: "ignore" });
    return readFileSync(path.join(folder, "cert.pem"));
}

function configuration({ plain, tls, admin, nobody, endpoint, origins }) {
    const cors = origins.length > 0 ? `cors: {origins: ${JSON.stringify(origins)}, credentials: true}` : "";
    return `
listeners:
- address: 127.0.0.1:${plain}
- address: 127.0.0.1:${tls}
  tls: {certificate: cert.pem, key: key.pem}
routes:
- match: {method: interop.v1.Nobody/*}
  cluster: nobody
  ${cors}
- cluster: echo
  ${cors}
clusters:
  echo:
    endpoints: ["${endpoint}"]
    descriptors: ${path.join(here, "echo.pb")}
    breaker: {enabled: false}
  nobody:
    endpoints: ["127.0.0.1:${nobody}"]
    descriptors: ${path.join(here, "echo.pb")}
    breaker: {enabled: false}
admin: {address: 127.0.0.1:${admin}}
access_log: {path: access.log}
`;
}

/** origins: pages that may call. plain, tls: HOST:PORT of the gateway; cert: what its TLS clients trust. */
export async function startStand({ origins = [] } = {}) {
    const folder = mkdtempSync(path.join(tmpdir(), "fusegate-js-"));
    const server = await startServer();
    const [plain, tls, admin, nobody] = await freePorts(4);
    const cert = certificate(folder);
    writeFileSync(path.join(folder, "gateway.yaml"),
        configuration({ plain, tls, admin, nobody, endpoint: server.address, origins }));
    const log = openSync(path.join(folder, "log"), "w");
    const gateway = spawn(process.env.FUSEGATE_BIN, ["run", "-c", "gateway.yaml"],
        { cwd: folder, stdio: ["ignore", log, log] });
    const exited = new Promise((resolve) => gateway.once("exit", (code, signal) => resolve(code ?? signal)));
    const ask = async (what) => (await fetch(`http://127.0.0.1:${admin}${what}`)).text();
    const logged = () => readFileSync(path.join(folder, "log"), "utf8");

    const ready = async () => {
        if (gateway.exitCode !== null) {
            throw new Error(`the gateway ended with ${gateway.exitCode}: ${logged()}`);
        }
        return ask("/readyz").then(() => true, (error) => `${error}; the gateway says ${logged()}`);
    };
    const leftOver = async () => {
        const metrics = await ask("/metrics");
        const open = GAUGES.filter((name) => !new RegExp(`^fusegate_${name} 0$`, "m").test(metrics));
        return open.length === 0 || open.join(" ");
    };
    const clear = () => { // whatever went wrong
        gateway.kill("SIGKILL");
        rmSync(folder, { recursive: true, force: true });
    };
    process.once("exit", clear);
    await until("the gateway serves", ready);
    return {
        plain: `127.0.0.1:${plain}`,
        tls: `127.0.0.1:${tls}`,
        cert,
        calls: server.calls,
        metric: async (name) => Number((await ask("/metrics")).match(new RegExp(`^fusegate_${name} (\\S+)$`, "m"))[1]),
        /** Every call has been closed in the gateway, too. */
        atRest: () => until("no call is left", leftOver),
        /** The gateway drains and ends with 0. */
        async stop() {
            gateway.kill("SIGTERM");
            const code = await exited;
            server.stop();
            const said = logged();
            process.off("exit", clear);
            clear();
            if (code !== 0) {
                throw new Error(`the gateway ended with ${code}: ${said}`);
            }
        },
    };
}
