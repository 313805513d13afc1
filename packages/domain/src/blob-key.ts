import { AppError } from "./errors.ts";

const pattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;

/** A blob's key as every store takes it: a relative POSIX path without dot files. AppError `caller` `blobs.key`. */
export function blobKey(key: string): string {
  if (!pattern.test(key))
    throw new AppError(
      "caller",
      "blobs.key",
      `'${key.slice(0, 80)}' is not a key: letters, digits, '.', '_', '-' and single slashes`,
    );
  return key;
}
