import { join } from "node:path";
import { expect, test } from "vitest";
import { dataset, folderOf, refusal } from "../../test/datasets.ts";
import { layoutOf } from "./layout.ts";

test.each<[string, string, Record<string, string>]>([
  ["flashinfer", "", { "definitions/a/b.json": "{}" }],
  ["gpumode", "", { "task.yml": "" }],
  ["gpumode", "", { "sort/task.yml": "" }],
  ["kernelbench", "", { "KernelBench/level1/1_a.py": "" }],
  ["kernelbench", "", { "level1/1_a.py": "" }],
  ["kernelbench", "", { "level_1.jsonl": "" }],
  ["kernelbench", "", { "data/level_1-00000-of-00001.parquet": "" }],
  ["kernelbench", "a.py", { "a.py": "" }],
])("%s: %s %j", (layout, path, files) => {
  expect(layoutOf(join(folderOf(files), path))).toBe(layout);
});

test.each([{ "data/notes.md": "" }, { "a/b/task.yml": "" }, { "readme.md": "" }])("none: %j", (files) => {
  expect(refusal(() => layoutOf(folderOf(files as Record<string, string>))).code).toBe("dataset.layout");
});

test("no folder at all", () => {
  expect(refusal(() => layoutOf(join(dataset(), "nowhere"))).code).toBe("file.missing");
});
