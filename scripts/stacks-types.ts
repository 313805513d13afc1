/** Typechecks sst.config.ts and stacks/ against SST's components, where they are installed. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { platformInstalled } from "./synthesis/platform.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
if (platformInstalled(root))
  process.exitCode = spawnSync("tsc", ["-p", "stacks"], { cwd: root, stdio: "inherit" }).status ?? 1;
else console.log("stacks/ is not typechecked: SST's platform is missing (npm run synth -- --install)");
