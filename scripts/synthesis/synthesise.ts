import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { platformFolder } from "./platform.ts";

/** A resource as the engine would have been asked to make it. */
export type Resource = {
  /** Pulumi's token, e.g. `aws:lambda/function:Function`. */
  type: string;
  /** The name in the program. Physical names end in random letters and are no key. */
  name: string;
  inputs: Record<string, unknown>;
  options: { protect: boolean; retain: boolean };
};

export type Synthesis = {
  app: { name: string; stage: string; removal: string; protect: boolean; providers: { aws: { region: string } } };
  resources: Resource[];
};

/** Names of the secrets, and values to synthesise with that cannot be mistaken for real ones. */
export const secretNames = ["OpenaiApiKey", "GeminiApiKey", "LlmApiKey", "ModalTokenId", "ModalTokenSecret"] as const;
export const standIn = (secret: string): string => `stand-in-for-${secret}`;

type Build = (options: object) => Promise<unknown>;

/**
 * Runs sst.config.ts for a stage without an account: the real components of `.sst/platform`, bundled as SST itself bundles
 * them, in a process of their own.
 * @param env the stage's settings (`KSEARCH_…`); secrets are stand-ins.
 * @throws Error with what the program said where it fails.
 */
export async function synthesise(root: string, stage: string, env: Record<string, string> = {}): Promise<Synthesis> {
  const platform = platformFolder(root);
  // The bundle must lie in the platform, from whose node_modules it takes Pulumi.
  const folder = mkdtempSync(join(platform, "synthesis-"));
  const out = join(folder, "resources.json");
  const paths = { home: folder, root, work: folder, platform };
  const providers = JSON.parse(readFileSync(join(root, ".sst", "provider-lock.json"), "utf8")) as {
    alias: string;
    package: string;
  }[];
  const { build } = createRequire(join(platform, "package.json"))("esbuild") as { build: Build };
  try {
    await build({
      stdin: {
        contents: `
          import * as pulumi from "@pulumi/pulumi";
          ${providers.map(({ alias, package: name }) => `import * as ${alias} from ${JSON.stringify(name)};`).join("\n")}
          import * as sst from ${JSON.stringify(join(platform, "src/components"))};
          import { run } from ${JSON.stringify(join(platform, "src/auto/run.ts"))};
          import config from ${JSON.stringify(join(root, "sst.config.ts"))};
          import { program } from ${JSON.stringify(join(root, "scripts/synthesis/program.ts"))};
          Object.assign(globalThis, { sst, ${providers.map(({ alias }) => alias).join(", ")} });
          await program({ pulumi, run, config, stage: ${JSON.stringify(stage)}, root: ${JSON.stringify(root)}, out: ${JSON.stringify(out)} });
        `,
        resolveDir: root,
        loader: "ts",
      },
      banner: {
        js: [
          'import { createRequire as topLevelCreateRequire } from "module";',
          "const require = topLevelCreateRequire(import.meta.url);",
          'import { fileURLToPath as topLevelFileUrlToPath, URL as topLevelURL } from "url";',
          'const __dirname = topLevelFileUrlToPath(new topLevelURL(".", import.meta.url));',
          // Some components look at the app as they are loaded, before its function has run and fills this.
          "globalThis.$synthesisApp = {};",
        ].join("\n"),
      },
      // What SST puts in place of these names.
      define: {
        $app: "globalThis.$synthesisApp",
        $cli: JSON.stringify({ command: "deploy", rpc: "", paths, state: { version: {} } }),
        $dev: "false",
        $input: "undefined",
      },
      inject: [join(platform, "src/shim/run.js")],
      external: ["@pulumi/*", "@pulumiverse/*", "@aws-sdk/*", "esbuild", "archiver", "glob"],
      mainFields: ["module", "main"],
      platform: "node",
      format: "esm",
      target: "esnext",
      bundle: true,
      logLevel: "silent",
      outfile: join(folder, "program.mjs"),
    });
    await new Promise<void>((resolve, reject) => {
      execFile(
        join(root, "node_modules", ".bin", "node"),
        ["--no-deprecation", "--no-warnings", join(folder, "program.mjs")],
        {
          cwd: root,
          env: {
            PATH: process.env.PATH,
            HOME: process.env.HOME,
            AWS_EC2_METADATA_DISABLED: "true",
            ...Object.fromEntries(secretNames.map((name) => [`SST_SECRET_${name}`, standIn(name)])),
            ...env,
          },
          maxBuffer: 2 ** 26,
        },
        (error, stdout, stderr) =>
          error === null ? resolve() : reject(new Error((stderr || stdout || error.message).trim())),
      );
    });
    return JSON.parse(readFileSync(out, "utf8")) as Synthesis;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
