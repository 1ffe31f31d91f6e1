// For node --test: a line for each client, and what went wrong in its cases or outside of any.
export default async function* report(source) {
    let cases = 0;
    let problems = [];
    let said = "";
    for await (const { type, data } of source) {
        said += type === "test:stderr" ? data.message : "";
        if (type !== "test:pass" && type !== "test:fail") {
            continue;
        }
        const isClient = data.name.startsWith("client: ");
        const isFile = data.name.endsWith(".test.js");
        if (!isClient) {
            const cause = data.details.error?.cause ?? data.details.error;
            cases++;
            if (type === "test:fail") {
                problems.push(`  ${data.name}: ${cause?.stack ?? cause}\n`);
            }
        }
        if (isClient || isFile) {
            const name = isFile ? "JavaScript clients" : data.name.replace("client: ", "");
            yield problems.join("");
            if (isFile && type === "test:fail") {
                yield said;
                said = "";
            }
            if (type === "test:fail" || problems.length > 0) {
                yield `FAILED  ${name}\n`;
            } else if (isClient) {
                yield `ok      ${name}: ${cases} cases\n`;
            }
            cases = 0;
            problems = [];
        }
    }
}
