import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { AppError, messageOf, parseJson } from "@ksearch/domain";
import { z } from "zod";

const Format = z.object({ format: z.literal("ksearch"), version: z.int() });
const version = 1;
const marker = "ksearch.json";

/**
 * The folder in which one machine keeps its runs (`.ksearch/`), made on first use when `create` is set, beside what the
 * original kept there. Throws AppError `caller`: the folder is somebody else's, of a later version, or absent.
 */
export function openFolder(path: string, create: boolean): string {
  const root = resolve(path);
  const file = join(root, marker);
  if (isFile(root))
    throw new AppError("caller", "store.foreign", `${root} is a file, not a folder: choose another --artifacts-dir`);
  if (!existsSync(file) && (!existsSync(root) || readdirSync(root).every((name) => isSpare(root, name)))) {
    if (!create)
      throw new AppError(
        "caller",
        "store.absent",
        `there is no ${root}: start a search with 'ksearch run', or name the right --artifacts-dir`,
      );
    try {
      mkdirSync(root, { recursive: true });
      const draft = join(root, `.${marker}.${process.pid}`);
      writeFileSync(draft, `${JSON.stringify({ format: "ksearch", version })}\n`);
      renameSync(draft, file);
    } catch (error) {
      throw new AppError(
        "caller",
        "store.folder",
        `${root} cannot be made (${messageOf(error)}): choose another --artifacts-dir`,
        { cause: error },
      );
    }
    return root;
  }
  if (!existsSync(file))
    throw new AppError(
      "caller",
      "store.foreign",
      `${root} holds something that ksearch did not make (no ${marker} in it): choose another --artifacts-dir`,
    );
  const format = Format.safeParse(parseJson(readFileSync(file, "utf8")));
  if (!format.success)
    throw new AppError(
      "operator",
      "store.corrupt",
      `${file} is not readable: restore it ({"format":"ksearch","version":${version}}) or move ${root} aside`,
    );
  if (format.data.version > version)
    throw new AppError(
      "caller",
      "store.version",
      `${root} was written by a later ksearch (format ${format.data.version}, this one knows ${version}): update ksearch`,
    );
  return root;
}

/**
 * What does not make a folder somebody else's: a mark that was begun, and the task folders of the original, whose default
 * for artifacts is ours (spec/ksearch.md 6): they stay as they are, and runs go on from them.
 */
const isSpare = (root: string, name: string): boolean =>
  name.startsWith(`.${marker}.`) ||
  ["world_model", "solutions", "eval"].some((part) => existsSync(join(root, name, part)));

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
