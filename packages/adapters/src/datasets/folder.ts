import { closeSync, type Dirent, fstatSync, openSync, readdirSync, readSync, realpathSync, statSync } from "node:fs";
import { isAbsolute, join, sep } from "node:path";
import { AppError, messageOf } from "@ksearch/domain";

/** Largest file that is read as a whole, and longest line of a file that is read by lines, bytes. */
const largestText = 8 * 1024 * 1024;
const longestLine = 64 * 1024 * 1024;
/** More entries than this are no dataset. */
const mostEntries = 200_000;
const lfsMark = "version https://git-lfs.github.com/spec/v1";

/** An open file: its size, and any of its bytes. Reading past the end is the caller's fault. */
export type Bytes = { size: number; read: (from: number, length: number) => Uint8Array };

/**
 * A folder of somebody's data, read only. Every path is relative to it, and what a path names lies in it: no absolute
 * path, no `..`, no symbolic link that leads out. Every method throws AppError `caller` with the file's full path and the
 * mend: `file.missing`, `file.path`, `file.lfs`, `file.large`, `file.unreadable`, `file.encoding`, `file.json`.
 */
export type Folder = {
  /** Its real path. */
  root: string;
  /** The full path as a message shows it. */
  show: (path: string) => string;
  isFile: (path: string) => boolean;
  isFolder: (path: string) => boolean;
  /** Names in a folder, sorted; empty where there is no such folder. */
  names: (path: string) => string[];
  /** Files below a folder whose names end so, at any depth, sorted. */
  filesBelow: (path: string, suffix: string) => string[];
  /** A text without byte order mark, its lines ended by \n alone. */
  text: (path: string) => string;
  json: (path: string) => unknown;
  /** The lines that are not blank, with their numbers, without reading more than one at a time. */
  lines: (path: string) => Generator<Line>;
  /** Lends an open file to `use`. */
  bytes: <T>(path: string, use: (bytes: Bytes) => T) => T;
};
export type Line = { text: string; number: number };

const wrong = (code: string, message: string, cause?: unknown): AppError =>
  new AppError("caller", code, message, { cause });

/** Opens a folder. `what` says in messages what it should be. */
export function openFolder(path: string, what: string): Folder {
  const root = realFolder(path, what);
  const show = (relative: string): string => join(root, relative);

  /** The real path of something in the folder; null: there is nothing. */
  const find = (relative: string): string | null => {
    if (isAbsolute(relative) || relative.split(/[/\\]/).includes("..") || relative.includes("\0"))
      throw wrong("file.path", `'${relative}' is no path within ${root}: it may be neither absolute nor contain '..'`);
    let real: string;
    try {
      real = realpathSync(show(relative));
    } catch (error) {
      if (isAbsence(error)) return null;
      throw unreadable(show(relative), error);
    }
    if (real !== root && !real.startsWith(root.endsWith(sep) ? root : root + sep))
      throw wrong(
        "file.path",
        `${show(relative)} is a symbolic link out of ${root}: put the file itself there (a download by 'hf download' needs --local-dir)`,
      );
    return real;
  };
  const kindOf = (relative: string): "file" | "folder" | null => {
    const real = find(relative);
    if (real === null) return null;
    const status = statSync(real);
    return status.isFile() ? "file" : status.isDirectory() ? "folder" : null;
  };
  const isFolder = (relative: string): boolean => kindOf(relative) === "folder";

  const bytes = <T>(relative: string, use: (bytes: Bytes) => T): T => {
    const real = find(relative);
    if (real === null) throw wrong("file.missing", `${show(relative)} is missing`);
    if (!statSync(real).isFile()) throw wrong("file.unreadable", `${show(relative)} is not a file`);
    const file = opened(real);
    try {
      const { size } = fstatSync(file);
      const read = (from: number, length: number): Uint8Array => exactly(file, from, length, show(relative));
      if (size < 1024 && new TextDecoder().decode(read(0, size)).startsWith(lfsMark))
        throw wrong(
          "file.lfs",
          `${show(relative)} is a Git LFS pointer, not the file itself: run 'git lfs pull --include "${relative.replace(/^\.\//, "")}"' in ${root}`,
        );
      return use({ size, read });
    } finally {
      closeSync(file);
    }
  };
  const text = (relative: string): string =>
    bytes(relative, ({ size, read }) => {
      if (size > largestText)
        throw wrong("file.large", `${show(relative)} has ${size} bytes, more than ${largestText}`);
      return decoded(read(0, size), show(relative)).replaceAll("\r\n", "\n");
    });

  return {
    root,
    show,
    isFolder,
    isFile: (relative) => kindOf(relative) === "file",
    names: (relative) => (isFolder(relative) ? entriesOf(show(relative)).map(({ name }) => name) : []).sort(),
    filesBelow: (relative, suffix) => (isFolder(relative) ? below(root, relative, suffix) : []),
    text,
    json: (relative) => {
      try {
        return JSON.parse(text(relative));
      } catch (error) {
        if (error instanceof AppError) throw error;
        throw wrong("file.json", `${show(relative)} is not JSON: ${messageOf(error).split("\n")[0]}`, error);
      }
    },
    bytes,
    lines: function* (relative) {
      const total = bytes(relative, ({ size }) => size);
      yield* linesOf(opened(show(relative)), total, show(relative));
    },
  };
}

function realFolder(path: string, what: string): string {
  try {
    const root = realpathSync(path);
    if (statSync(root).isDirectory()) return root;
  } catch (error) {
    if (!isAbsence(error)) throw unreadable(path, error);
    throw wrong("file.missing", `the ${what} ${path} is not there`, error);
  }
  throw wrong("file.missing", `the ${what} ${path} is not a folder`);
}

/** Files below a folder. A link to a folder is refused: following it may never end, and passing it by would hide files. */
function below(root: string, start: string, suffix: string): string[] {
  const found: string[] = [];
  const open = [start];
  let entries = 0;
  for (let folder = open.pop(); folder !== undefined; folder = open.pop())
    for (const entry of entriesOf(join(root, folder))) {
      if (++entries > mostEntries)
        throw wrong("file.large", `${join(root, start)} holds more than ${mostEntries} files: is it a dataset?`);
      const path = join(folder, entry.name);
      if (entry.isDirectory()) open.push(path);
      else if (entry.isSymbolicLink() && leadsToFolder(join(root, path)))
        throw wrong("file.path", `${join(root, path)} is a symbolic link to a folder: put the folder itself there`);
      else if (entry.name.endsWith(suffix)) found.push(path);
    }
  return found.sort();
}

function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    throw unreadable(path, error);
  }
}

function leadsToFolder(link: string): boolean {
  try {
    return statSync(link).isDirectory();
  } catch {
    return false; // It leads nowhere, which whoever reads it is told.
  }
}

function* linesOf(file: number, total: number, shown: string): Generator<Line> {
  try {
    let number = 0;
    let rest: Uint8Array[] = [];
    let restBytes = 0;
    const joined = (): Line[] => {
      number++;
      const text = decoded(Buffer.concat(rest), `${shown}, line ${number}`);
      rest = [];
      restBytes = 0;
      return text.trim() === "" ? [] : [{ text, number }];
    };
    for (let at = 0; at < total; ) {
      const chunk = exactly(file, at, Math.min(1 << 20, total - at), shown);
      at += chunk.length;
      let from = 0;
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
        rest.push(chunk.subarray(from, end));
        from = end + 1;
        yield* joined();
      }
      rest.push(chunk.subarray(from));
      restBytes += chunk.length - from;
      if (restBytes > longestLine)
        throw wrong("file.large", `${shown}, line ${number + 1} has more than ${longestLine} bytes`);
    }
    yield* joined();
  } finally {
    closeSync(file);
  }
}

function exactly(file: number, from: number, length: number, shown: string): Uint8Array {
  const buffer = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const read = readSync(file, buffer, done, length - done, from + done);
    if (read === 0) throw wrong("file.unreadable", `${shown} ends before byte ${from + length}`);
    done += read;
  }
  return buffer;
}

function decoded(content: Uint8Array, shown: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(content);
  } catch (error) {
    throw wrong("file.encoding", `${shown} is not UTF-8 text`, error);
  }
}

function opened(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    throw unreadable(path, error);
  }
}

const unreadable = (path: string, error: unknown): AppError =>
  wrong("file.unreadable", `${path} cannot be read: ${messageOf(error)}`, error);

const isAbsence = (error: unknown): boolean =>
  error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
