// For node --test: a line for each client, and what went wrong in its cases.
export default async function* report(source) {
    let cases = 0;
    let problems = [];
    for await (const { type, data } of source) {
        if (type !== "test:pass" && type !== "test:fail") {
            continue;
        }
        if (!data.name.startsWith("client: ")) {
            const cause = data.details.error?.cause ?? data.details.error;
            cases++;
            if (type === "test:fail") {
                problems.push(`  ${data.name}: ${cause?.stack ?? cause}`);
            }
            continue;
        }
        const name = data.name.replace(/^client: /, "");
        yield type === "test:pass" ? `ok      ${name}: ${cases} cases\n` : `${problems.join("\n")}\nFAILED  ${name}\n`;
        cases = 0;
        problems = [];
    }
    if (problems.length > 0) {
        yield `${problems.join("\n")}\nFAILED  JavaScript clients\n`;
    }
}
