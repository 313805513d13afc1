/**
 * Synthesises a stage without an account: what a deployment would make, as `.sst/synth/<stage>.json`, and a table of it.
 *
 *   npm run synth [-- --stage NAME]      NAME: dev
 *   npm run synth -- --install           only installs SST's platform (323 MB into .sst/)
 *
 * Settings come from the variables of stacks/stage.ts, or from `.env.<stage>`. Ends with 3 and the mend where something is wrong.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installPlatform } from "./synthesis/platform.ts";
import { settingsOf } from "./synthesis/settings.ts";
import { type Synthesis, synthesise } from "./synthesis/synthesise.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What the rehearsal runs: the document, and each function by the ARN that it names. */
function machineOf({ resources }: Synthesis) {
  const machine = resources.find(({ type }) => type === "aws:sfn/stateMachine:StateMachine");
  const functions = resources
    .filter(({ type }) => type === "aws:lambda/function:Function")
    .map(({ inputs }) => ({
      name: inputs.name,
      handler: inputs.handler,
      timeoutSeconds: inputs.timeout,
      memoryMiB: inputs.memorySize,
      environment: (inputs.environment as { variables: Record<string, string> }).variables,
    }));
  return { definition: JSON.parse(String(machine?.inputs.definition)), functions };
}

function table({ resources }: Synthesis): string {
  const counts = new Map<string, number>();
  for (const { type } of resources) counts.set(type, (counts.get(type) ?? 0) + 1);
  const rows = [...counts].sort(([a], [b]) => a.localeCompare(b));
  return [...rows, ["resources", resources.length] as const]
    .map(([type, count]) => `${String(count).padStart(5)}  ${type}`)
    .join("\n");
}

try {
  const { values } = parseArgs({
    options: { stage: { type: "string", default: "dev" }, install: { type: "boolean", default: false } },
  });
  installPlatform(root);
  if (!values.install) {
    const synthesis = await synthesise(root, values.stage, settingsOf(root, values.stage, process.env));
    const path = join(".sst", "synth", `${values.stage}.json`);
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${JSON.stringify({ ...synthesis, machine: machineOf(synthesis) }, null, 1)}\n`);
    console.log(`${table(synthesis)}\n${path}`);
  }
} catch (error) {
  console.error(`synth: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 3;
}
