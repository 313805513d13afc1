import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { AppError } from "@ksearch/domain";

/**
 * The settings of a stage (`KSEARCH_…`, stacks/stage.ts): of the shell and of `.env` and `.env.<stage>`, which SST reads too.
 * @throws AppError `caller` where two of them differ: SST would silently take one.
 */
export function settingsOf(
  root: string,
  stage: string,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const settings: Record<string, { value: string; from: string }> = {};
  const sources = [
    { from: "the environment", values: env },
    ...[".env", `.env.${stage}`]
      .filter((file) => existsSync(join(root, file)))
      .map((file) => ({ from: file, values: parseEnv(readFileSync(join(root, file), "utf8")) })),
  ];
  for (const { from, values } of sources)
    for (const [name, value] of Object.entries(values)) {
      if (!name.startsWith("KSEARCH_") || value === undefined) continue;
      const known = settings[name];
      if (known !== undefined && known.value !== value)
        throw new AppError(
          "caller",
          "stage.settings",
          `${name} is ${JSON.stringify(known.value)} in ${known.from} and ${JSON.stringify(value)} in ${from}: keep one`,
        );
      settings[name] = { value, from };
    }
  return Object.fromEntries(Object.entries(settings).map(([name, { value }]) => [name, value]));
}
