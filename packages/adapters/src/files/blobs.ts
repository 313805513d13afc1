import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { AppError, blobKey } from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";

/**
 * Blobs as plain files below a folder, which a person can read. A file appears whole under its name or not at all: it is
 * written under `.incoming/`, flushed to disk, and linked; the link fails if the name is taken.
 */
export function fileBlobs(folder: string): Blobs {
  const root = resolve(folder);
  const incoming = join(root, ".incoming");
  const pathOf = (key: string): string => join(root, blobKey(key));
  return {
    async put(key, bytes) {
      const path = pathOf(key);
      const temporary = join(incoming, randomUUID());
      try {
        await inFolder(incoming, () => writeFlushed(temporary, bytes));
        await inFolder(dirname(path), () => link(temporary, path));
        return "written";
      } catch (error) {
        if (codeOf(error) === "EEXIST") return "existed";
        throw storeError(error, path);
      } finally {
        await unlink(temporary).catch((error: unknown) => {
          if (codeOf(error) !== "ENOENT") throw storeError(error, temporary);
        });
      }
    },
    async get(key) {
      try {
        return new Uint8Array(await readFile(pathOf(key)));
      } catch (error) {
        if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return null;
        throw error instanceof AppError ? error : storeError(error, key);
      }
    },
    async list(folder) {
      const entries = await readdir(pathOf(folder.replace(/\/$/, "")), { recursive: true, withFileTypes: true }).catch(
        (error: unknown) => {
          if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
          throw storeError(error, folder);
        },
      );
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) =>
          join(entry.parentPath, entry.name)
            .slice(root.length + 1)
            .replaceAll("\\", "/"),
        )
        .sort();
    },
  };
}

/** Writes a new file and has the disk confirm it. */
async function writeFlushed(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.writeFile(bytes);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Does `work` in a folder, and once more after making the folder if it is not there. */
async function inFolder(folder: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
    await mkdir(folder, { recursive: true });
    await work();
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

const storeError = (error: unknown, where: string): AppError =>
  new AppError(
    "operator",
    "store.files",
    `${where}: ${error instanceof Error ? error.message : String(error)}; free space or fix the permissions, then resume`,
    { cause: error },
  );
