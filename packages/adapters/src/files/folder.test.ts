import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFolder } from "./index.ts";

const newPath = (): string => join(mkdtempSync(join(tmpdir(), "ksearch-folder-")), "artifacts");
const refusal = (who: string, code: string, words: RegExp) =>
  expect.objectContaining({ who, code, message: expect.stringMatching(words) });

test("a new folder is made with its mark, and opened again as it is", () => {
  const path = newPath();
  expect(openFolder(path, true)).toBe(path);
  expect(JSON.parse(readFileSync(join(path, "ksearch.json"), "utf8"))).toEqual({ format: "ksearch", version: 1 });
  writeFileSync(join(path, "more"), "x");
  expect(openFolder(path, true)).toBe(path);
  expect(openFolder(path, false)).toBe(path);
});

test("an empty folder is taken", () => {
  const path = newPath();
  mkdirSync(path);
  expect(openFolder(path, true)).toBe(path);
  expect(readdirSync(path)).toEqual(["ksearch.json"]);
});

test("absent and only to be read: nothing is made, and the message says how to begin", () => {
  const path = newPath();
  expect(() => openFolder(path, false)).toThrow(refusal("caller", "store.absent", /ksearch run/));
  expect(existsSync(path)).toBe(false);
  mkdirSync(path);
  expect(() => openFolder(path, false)).toThrow(refusal("caller", "store.absent", /ksearch run/));
});

test("the folder of a K-Search user is taken, and what the original kept there stays", () => {
  const path = newPath();
  mkdirSync(join(path, "gpumode_trimul", "world_model"), { recursive: true });
  writeFileSync(join(path, "gpumode_trimul", "world_model", "world_model.json"), "{}");
  expect(openFolder(path, true)).toBe(path);
  expect(readdirSync(path).toSorted()).toEqual(["gpumode_trimul", "ksearch.json"]);
  expect(readFileSync(join(path, "gpumode_trimul", "world_model", "world_model.json"), "utf8")).toBe("{}");
});

test("somebody else's folder is left alone", () => {
  const path = newPath();
  mkdirSync(path);
  writeFileSync(join(path, "thesis.tex"), "years of work");
  for (const create of [true, false])
    expect(() => openFolder(path, create)).toThrow(refusal("caller", "store.foreign", /--artifacts-dir/));
  expect(readdirSync(path)).toEqual(["thesis.tex"]);
});

test("a file where the folder should be", () => {
  const path = newPath();
  writeFileSync(path, "a file");
  for (const create of [true, false])
    expect(() => openFolder(path, create)).toThrow(refusal("caller", "store.foreign", /--artifacts-dir/));
  expect(readFileSync(path, "utf8")).toBe("a file");
});

test("a folder that cannot be made", () => {
  const path = newPath();
  writeFileSync(path, "a file");
  expect(() => openFolder(join(path, "below"), true)).toThrow(
    refusal("caller", "store.folder", /below.*--artifacts-dir/),
  );
});

test.each([
  "",
  "not json",
  "[]",
  '{"format":"other","version":1}',
  '{"format":"ksearch"}',
  '{"format":"ksearch","version":"1"}',
])("a mark that is not readable (%j) is told with what belongs there", (content) => {
  const path = newPath();
  mkdirSync(path);
  writeFileSync(join(path, "ksearch.json"), content);
  expect(() => openFolder(path, true)).toThrow(
    refusal("operator", "store.corrupt", /ksearch\.json.*\{"format":"ksearch","version":1\}/),
  );
});

test("a folder of a later version is refused and not touched", () => {
  const path = newPath();
  mkdirSync(path);
  writeFileSync(join(path, "ksearch.json"), '{"format":"ksearch","version":2}');
  expect(() => openFolder(path, true)).toThrow(refusal("caller", "store.version", /format 2.*knows 1.*update/));
  expect(readFileSync(join(path, "ksearch.json"), "utf8")).toBe('{"format":"ksearch","version":2}');
});
