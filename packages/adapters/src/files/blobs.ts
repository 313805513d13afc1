import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AppError } from "@ksearch/domain";
import type { Blobs } from "@ksearch/ports";

const keyPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/**
 * Blobs as plain files below `root`, which a person can read. A file appears whole under its name or not at all: it is
 * written under `.incoming/`, flushed to disk, and linked; the link fails if the name is taken.
 */
export function fileBlobs(root: string): Blobs {
  const incoming = join(root, ".incoming");
  const pathOf = (key: string): string => {
    if (!keyPattern.test(key)) throw new AppError("caller", "blobs.key", `'${key.slice(0, 80)}' is not a key: letters, digits, '.', '_', '-' and single slashes`);
    return join(root, key);
  };
  return {
    async put(key, bytes) {
      const path = pathOf(key);
      await mkdir(incoming, { recursive: true });
      await mkdir(dirname(path), { recursive: true });
      const temporary = join(incoming, randomUUID());
      try {
        const file = await open(temporary, "wx");
        try {
          await file.writeFile(bytes);
          await file.datasync();
        } finally {
          await file.close();
        }
        await link(temporary, path);
        return "written";
      } catch (error) {
        if (codeOf(error) === "EEXIST") return "existed";
        throw storeError(error, path);
      } finally {
        await rm(temporary, { force: true });
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
      const entries = await readdir(pathOf(folder.replace(/\/$/, "")), { recursive: true, withFileTypes: true }).catch((error: unknown) => {
        if (codeOf(error) === "ENOENT") return [];
        throw storeError(error, folder);
      });
      return entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1).replaceAll("\\", "/"))
        .sort();
    },
  };
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;

const storeError = (error: unknown, where: string): AppError =>
  new AppError("operator", "store.files", `${where}: ${error instanceof Error ? error.message : String(error)}; free space or fix the permissions, then resume`, { cause: error });
