import { existsSync } from "node:fs";
import { join } from "node:path";
import { AppError, type Format } from "@ksearch/domain";
import { openFolder } from "./folder.ts";

/** The layout of a folder or file of problems, by what lies in it. AppError `caller` `dataset.layout`: none that we know. */
export function layoutOf(path: string): Format {
  if (path.endsWith(".py")) return "kernelbench";
  const { root, names } = openFolder(path, "dataset");
  const inside = names("");
  if (inside.includes("definitions")) return "flashinfer";
  if (["", ...inside].some((name) => existsSync(join(root, name, "task.yml")))) return "gpumode";
  if ([...inside, ...names("data")].some((name) => /^(KernelBench|level_?\d.*)$/.test(name))) return "kernelbench";
  throw new AppError(
    "caller",
    "dataset.layout",
    `${root} has none of the known layouts: definitions/ (flashinfer), task.yml in it or in its folders (gpumode), level1/ or level_1.jsonl (kernelbench)`,
  );
}
