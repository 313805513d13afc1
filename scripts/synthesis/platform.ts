import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * SST's components and the AWS provider's types, in `.sst/platform` (323 MB): what a deployment would install, without an
 * account. 20 s and more the first time, nothing after.
 */
export const platformFolder = (root: string): string => join(root, ".sst", "platform");

const pinned = (root: string): string =>
  (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { devDependencies: Record<string, string> })
    .devDependencies.sst as string;

/** True where the platform of the pinned SST is complete. `provider-lock.json` is the last file that is written. */
export function platformInstalled(root: string): boolean {
  const version = join(platformFolder(root), "version");
  return (
    existsSync(join(root, ".sst", "provider-lock.json")) &&
    existsSync(join(platformFolder(root), "node_modules", "@pulumi", "aws")) &&
    existsSync(version) &&
    readFileSync(version, "utf8").includes(pinned(root))
  );
}

/** @throws Error with the mend where it cannot be installed. */
export function installPlatform(root: string): void {
  if (platformInstalled(root)) return;
  try {
    execFileSync(join(root, "node_modules", ".bin", "sst"), ["install", "--stage", "synth"], {
      cwd: root,
      // Without these SST fetches programs of its own and asks for credentials.
      env: {
        ...process.env,
        SST_SKIP_DEPENDENCY_CHECK: "1",
        SST_NO_BUN: "1",
        SST_TELEMETRY_DISABLED: "1",
        AWS_EC2_METADATA_DISABLED: "true",
      },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: 10 * 60_000,
    });
  } catch (cause) {
    const { stderr, stdout } = cause as { stderr?: Buffer; stdout?: Buffer };
    throw new Error(
      `SST's platform could not be installed: it needs the npm registry once, after \`npm ci\`. SST said: ${`${stdout ?? ""}${stderr ?? ""}`.trim().slice(-600)}`,
      { cause },
    );
  }
}
