import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { AppError, messageOf } from "@ksearch/domain";

/** Largest file that a command reads, bytes. */
const largest = 8 * 1024 * 1024;

/** A file's text (`-`: standard input). AppError `caller` `file.unreadable` names the file and what it should have been. */
export function readText(path: string, what: string): string {
  let text: string;
  try {
    text = readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (error) {
    throw new AppError("caller", "file.unreadable", `the ${what} ${path} cannot be read: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (text.length > largest)
    throw new AppError("caller", "file.large", `the ${what} ${path} has more than ${largest} characters`);
  return text;
}

/** A file's JSON, not yet checked against any schema. */
export function readJson(path: string, what: string): unknown {
  const text = readText(path, what);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AppError("caller", "file.json", `the ${what} ${path} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

/** Writes a file, over one that is there. AppError `caller` `file.unwritable` names it and what it should have become. */
export function writeText(path: string, text: string, what: string, { makeFolder = false } = {}): void {
  try {
    if (makeFolder) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  } catch (error) {
    throw new AppError("caller", "file.unwritable", `the ${what} cannot be written to ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
