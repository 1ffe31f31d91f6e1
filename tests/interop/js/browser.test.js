// The clients for browsers, in headless Chromium, in pages of two origins: one may call, the other may not.
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import * as http from "node:http";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { build } from "esbuild";
import { startStand } from "./stand.js";

const PATIENCE_MS = 60_000;

/** Serves the page and keeps what it posts. done: a promise of the end, which fails with the page. */
async function startPages(script) {
    const pages = { outcomes: new Map(), plan: {}, next: null };
    pages.done = new Promise((resolve, reject) => (pages.end = (error) => (error ? reject(new Error(error)) : resolve())));
    const answers = {
        "/": () => ["text/html", '<!doctype html><meta charset="utf-8"><script type="module" src="page.js"></script>'],
        "/page.js": () => ["text/javascript", script],
        "/plan.json": () => ["application/json", JSON.stringify(pages.plan)],
        "/outcomes": ({ name, outcomes }) => {
            pages.outcomes.set(name, outcomes);
            return ["application/json", "{}"];
        },
        "/done": ({ error }) => {
            pages.end(error);
            return ["application/json", JSON.stringify({ next: pages.next })];
        },
    };
    const server = http.createServer(async (request, response) => {
        const parts = [];
        for await (const part of request) {
            parts.push(part);
        }
        const answer = answers[request.url];
        const posted = request.method === "POST" ? JSON.parse(Buffer.concat(parts).toString()) : undefined;
        const [type, content] = answer ? answer(posted) : ["text/plain", "nothing here"];
        response.writeHead(answer ? 200 : 404, { "content-type": type }).end(content);
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    pages.origin = `http://127.0.0.1:${server.address().port}`;
    pages.close = () => {
        server.close();
        server.closeAllConnections();
    };
    return pages;
}

/** stop() ends it with all its processes; gone: a promise that fails when it ends by itself. */
function startChromium(url) {
    const folder = mkdtempSync(path.join(tmpdir(), "fusegate-chromium-"));
    const log = openSync(path.join(folder, "log"), "w");
    const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--ignore-certificate-errors",
        "--enable-logging=stderr", `--user-data-dir=${folder}`, `--crash-dumps-dir=${folder}`];
    const env = { ...process.env, HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder };
    const chromium = spawn("chromium", [...flags, url], { env, stdio: ["ignore", log, log], detached: true });
    const said = () => readFileSync(path.join(folder, "log"), "utf8").split("\n").slice(-20).join("\n");
    const exited = new Promise((resolve) => chromium.once("close", resolve));
    const kill = () => {
        try {
            process.kill(-chromium.pid, "SIGKILL");
        } catch {
            // it is gone already
        }
    };
    const clear = () => {
        kill();
        rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
    };
    process.once("exit", clear);
    return {
        said,
        gone: exited.then((code) => Promise.reject(new Error(`Chromium ended with ${code}: ${said()}`))),
        async stop() {
            kill();
            await exited;
            process.off("exit", clear);
            clear();
        },
    };
}

async function runAll() {
    const { outputFiles } = await build({ entryPoints: ["page.js"], bundle: true, format: "esm", write: false, target: "es2022" });
    const script = outputFiles[0].text;
    const welcome = await startPages(script);
    const refused = await startPages(script);
    const stand = await startStand({ origins: ["https://shop.example", welcome.origin] });
    const gateways = { "HTTP/1.1": `http://${stand.plain}`, "HTTP/2": `https://${stand.tls}` };
    welcome.plan = { gateways };
    welcome.next = `${refused.origin}/`;
    refused.plan = { gateways, refused: true };

    const chromium = startChromium(`${welcome.origin}/`);
    chromium.gone.catch(() => {});
    const within = async (what, promise) => {
        let timer;
        const late = new Promise((_, reject) => {
            timer = setTimeout(() => reject(new Error(`${what}: not within ${PATIENCE_MS} ms: ${chromium.said()}`)), PATIENCE_MS);
        });
        await Promise.race([promise, chromium.gone, late]).finally(() => clearTimeout(timer));
    };
    const stop = async () => {
        await chromium.stop();
        welcome.close();
        refused.close();
        await stand.stop();
    };
    try {
        await within("the page that may call", welcome.done);
        const calls = stand.calls();
        const preflights = await stand.metric("cors_preflights_total");
        await within("the page that may not call", refused.done);
        const more = stand.calls() - calls;
        return { welcome: welcome.outcomes, refused: refused.outcomes, preflights, more, stand, stop };
    } catch (error) {
        await stop();
        throw error;
    }
}

const result = await runAll();

async function reported(t, outcomes) {
    for (const { title, error } of outcomes) {
        await t.test(title, () => {
            if (error) {
                throw new Error(error);
            }
        });
    }
}

for (const [name, outcomes] of result.welcome) {
    test(`client: Chromium, ${name}`, (t) => reported(t, outcomes));
}

test("client: Chromium, a page that may not call", async (t) => {
    for (const [name, outcomes] of result.refused) {
        await reported(t, outcomes.map((outcome) => ({ ...outcome, title: name })));
    }
    await t.test("no call of it has reached the endpoint", () => {
        if (result.refused.size === 0 || result.more !== 0) {
            throw new Error(`${result.more} calls of ${result.refused.size} clients`);
        }
    });
    await t.test("the other page has sent preflights", () => {
        if (!(result.preflights > result.welcome.size)) {
            throw new Error(`${result.preflights} preflights of ${result.welcome.size} clients`);
        }
    });
    await t.test("nothing is left open", () => result.stand.atRest());
});

after(() => result.stop());
