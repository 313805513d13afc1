import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { areServersThere } from "../packages/adapters/test/servers.ts";
import { buildFunctions } from "./bundles.ts";
import { differences } from "./rehearse/compare.ts";
import { faultPlan } from "./rehearse/faults.ts";
import { onOneMachine, rehearsalSynthesis, root, synthesised } from "./rehearse/prepare.ts";
import { startRehearsal } from "./rehearse/stage.ts";
import { platformInstalled } from "./synthesis/platform.ts";

/** Says once what is missing for a rehearsal. */
function isSetUp(): boolean {
  const missing = [
    ...(platformInstalled(root) ? [] : ["the SST platform (npm run synth -- --install)"]),
    ...(existsSync(join(root, "packages/evaluator/.venv/bin/python"))
      ? []
      : ["the referee's Python (scripts/setup.sh)"]),
  ];
  if (missing.length > 0) process.stderr.write(`not set up: ${missing.join(", ")}: the rehearsal is skipped\n`);
  return areServersThere() && missing.length === 0;
}

const folder = mkdtempSync(join(tmpdir(), "ksearch-rehearsal-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.skipIf(!isSetUp())(
  "a search in the rehearsed cloud, ten things killed and requests disturbed: nothing recorded is lost or paid again",
  async () => {
    const kills = 10;
    const [local, bundles, synthesis] = await Promise.all([
      onOneMachine(folder, { attempts: "4", lanes: "2", seed: "1" }),
      buildFunctions(join(folder, "bundles")),
      synthesised(rehearsalSynthesis),
    ]);
    const plan = { ...faultPlan(1, kills, 3), twice: false };
    const rehearsal = await startRehearsal({ folder, synthesis, bundles, plan });
    try {
      const { state, events, violated } = await rehearsal.search(local);
      expect(violated).toEqual([]);
      expect(differences(local.events, events, true)).toEqual([]);
      expect(state.judged).toBe(4);
      const killed = Object.values(rehearsal.kills()).reduce((sum, one) => sum + one, 0);
      expect(killed).toBeGreaterThanOrEqual(kills);
    } finally {
      await rehearsal.close();
    }
  },
  300_000,
);
