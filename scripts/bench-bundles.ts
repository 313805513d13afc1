import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { stepPorts } from "@ksearch/workflow";
import { type Bundle, buildFunctions } from "./bundles.ts";

/** `npm run bench:bundles`: size and cold import of every Lambda function, and which vendors' SDKs are in it. */

const limits = { bytes: 3e6, importMs: 300 };
const rounds = 7;

/** Median time of a fresh process to import a bundle, ms; the process's own start is not in it. */
async function coldImportMs(bundle: Bundle): Promise<number> {
  const code = `const t = performance.now(); await import(${JSON.stringify(bundle.path)}); console.log(performance.now() - t); process.exit(0)`;
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code]);
    times.push(Number(stdout));
  }
  return times.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN;
}

const vendors = ["@aws-sdk/client-dynamodb", "@aws-sdk/client-s3", "openai", "modal"];

const folder = mkdtempSync(join(tmpdir(), "ksearch-bundles-"));
const failures: string[] = [];
try {
  const bundles = await buildFunctions(folder);
  const say = (line: string) => process.stdout.write(`${line}\n`);
  say(`Node ${process.version}, ${cpus()[0]?.model}, ${availableParallelism()} CPUs, median of ${rounds} imports`);
  say(`${"function".padEnd(16)} ${"size".padStart(9)} ${"import".padStart(9)}  SDKs`);
  for (const bundle of bundles.toSorted((a, b) => a.name.localeCompare(b.name))) {
    const importMs = await coldImportMs(bundle);
    const sdks = vendors.filter((vendor) => bundle.packages.includes(vendor));
    say(
      `${bundle.name.padEnd(16)} ${`${(bundle.bytes / 1e6).toFixed(2)} MB`.padStart(9)} ${`${importMs.toFixed(0)} ms`.padStart(9)}  ${sdks.join(" ")}`,
    );
    if (bundle.bytes > limits.bytes) failures.push(`${bundle.name} is larger than ${limits.bytes / 1e6} MB`);
    if (importMs > limits.importMs) failures.push(`${bundle.name} takes longer than ${limits.importMs} ms to import`);
    const ports = stepPorts[bundle.name as keyof typeof stepPorts] ?? ["llm", "referee"];
    if (sdks.includes("modal") && !ports.includes("referee"))
      failures.push(`${bundle.name} carries Modal's SDK in vain`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
for (const failure of failures) process.stderr.write(`✗ ${failure}\n`);
process.exitCode = failures.length > 0 ? 1 : 0;
