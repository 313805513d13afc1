import { closeSync, constants, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { AppError, messageOf } from "@ksearch/domain";
import type { Folder } from "../folder.ts";

/** A name as one part of a path: model names contain slashes. */
export const pathPart = (name: string): string => name.replace(/[^A-Za-z0-9_.-]+/g, "_").replace(/^\.+/, "_");

/** At the end of a file, which a link is not taken for: one that leads nowhere yet would make a file elsewhere. */
const atEnd = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * Writes a file into a dataset, making its folders, and returns its full path; `end` puts the text after what is there.
 * Throws AppError `caller` `dataset.write`, or `file.path` where a link leads out of the dataset.
 */
export function write(folder: Folder, path: string, text: string, how: "new" | "end"): string {
  const parts = path.split("/");
  // Looking at a path is what refuses one that a link leads out of the dataset.
  for (const end of parts.keys()) folder.isFile(parts.slice(0, end + 1).join("/"));
  const full = folder.show(path);
  try {
    mkdirSync(dirname(full), { recursive: true });
    const file = openSync(full, how === "new" ? "wx" : atEnd);
    try {
      writeFileSync(file, text);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new AppError("caller", "dataset.write", `${full} cannot be written: ${messageOf(error)}`, { cause: error });
  }
  return full;
}
