import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile, stop } from "esbuild";

/** The Lambda functions as they are deployed: one ES module each (SST's own settings for Node functions). */

const root = fileURLToPath(new URL("..", import.meta.url));

export type Bundle = {
  /** The step's name, or `executionEnded`. */
  name: string;
  path: string;
  bytes: number;
  /** Packages of npm that are in it. */
  packages: string[];
};

/** What esbuild's ES modules lack that CommonJS dependencies ask for. */
const banner = `import { createRequire as createRequireOf } from "node:module"; const require = createRequireOf(import.meta.url);`;

/** Builds every handler below `functions/src` into a folder, emptied first. */
export async function buildFunctions(folder: string): Promise<Bundle[]> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const handlers = ["steps", "events"].flatMap((kind) =>
    readdirSync(join(root, "functions/src", kind))
      .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
      .map((file) => ({ name: file.replace(/\.ts$/, ""), source: join(root, "functions/src", kind, file) })),
  );
  const bundles = await Promise.all(
    handlers.map(async ({ name, source }) => {
      const path = join(folder, name, "index.mjs");
      const { metafile } = await build({
        entryPoints: [source],
        outfile: path,
        bundle: true,
        platform: "node",
        target: "node24",
        format: "esm",
        mainFields: ["module", "main"],
        minify: true,
        metafile: true,
        banner: { js: banner },
        logLevel: "error",
      });
      return { name, path, bytes: statSync(path).size, packages: packagesIn(metafile) };
    }),
  );
  // Its process keeps gigabytes of what it has read.
  await stop();
  return bundles;
}

const packagesIn = ({ outputs }: Metafile): string[] =>
  [
    ...new Set(
      Object.values(outputs)
        .flatMap(({ inputs }) => Object.entries(inputs))
        .flatMap(([input, { bytesInOutput }]) => {
          if (bytesInOutput === 0) return [];
          const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input)?.[1];
          return name === undefined ? [] : [name];
        }),
    ),
  ].sort();
