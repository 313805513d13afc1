import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Kernel } from "@ksearch/domain";
import { describe, expect, test } from "vitest";
import { dataset, type Files, folderOf, gather, gatherKernel, refusal } from "../../../test/datasets.ts";
import { findSolution, saveSolution } from "./solutions.ts";

const solution = (name: string, spec: object = {}, more: object = {}) => ({
  name,
  definition: gather.name,
  author: "somebody",
  spec: { language: "python", target_hardware: ["H100"], entry_point: "main.py::run", dependencies: [], ...spec },
  sources: [{ path: "main.py", content: gather.reference }],
  ...more,
});

const find = (files: Files, name = "fast") => findSolution(dataset(files), gather.name, name);

describe("a solution of a dataset", () => {
  test("is found by the name that it gives itself, at any depth, as a kernel", () => {
    expect(
      find({ "solutions/a/b/c/d/other-name.json": solution("fast"), "solutions/x.json": solution("slow") }),
    ).toEqual(gatherKernel());
  });

  test("one that cannot be read is its own name's concern alone", () => {
    const files = { "solutions/fast.json": solution("fast"), "solutions/broken.json": "{", "solutions/odd.json": [] };
    expect(find(files).language).toBe("python");
    expect(refusal(() => find(files, "broken")).code).toBe("file.json");
    expect(refusal(() => find(files, "odd")).code).toBe("solution.invalid");
  });

  test.each<[string, Files, string, RegExp]>([
    [
      "an unknown one, with the nearest of this definition",
      { "solutions/a.json": solution("quick"), "solutions/b.json": { ...solution("faster"), definition: "softmax" } },
      "solution.unknown",
      /^there is no solution 'fast' of gather_rows in .*solutions\. Did you mean quick\?$/,
    ],
    ["no solution at all", {}, "solution.unknown", /solutions\.$/],
    [
      "two of one name, with both paths",
      { "solutions/a/one.json": solution("fast"), "solutions/b/two.json": solution("fast") },
      "dataset.duplicate",
      /solutions\/a\/one\.json and .*solutions\/b\/two\.json; remove one$/,
    ],
    [
      "another definition's",
      { "solutions/a.json": { ...solution("fast"), definition: "softmax" } },
      "solution.problem",
      /a\.json is for 'softmax', not for 'gather_rows'/,
    ],
    [
      "a language that nobody judges",
      { "solutions/a.json": solution("fast", { language: "tilelang" }) },
      "solution.invalid",
      /a\.json: it is in TileLang: /,
    ],
    [
      "a language that nobody knows",
      { "solutions/a.json": solution("fast", { language: "mojo" }) },
      "solution.invalid",
      /a\.json: language: /,
    ],
    [
      "a binding that we do not build",
      { "solutions/a.json": solution("fast", { language: "cuda" }) },
      "solution.invalid",
      /a\.json: its binding is TVM-FFI/,
    ],
  ])("%s is refused", (_, files, code, message) => {
    expect(refusal(() => find(files))).toEqual({ code, message: expect.stringMatching(message) });
  });
});

describe("a kernel written back", () => {
  const kernel = gatherKernel({
    language: "triton",
    files: [
      { path: "main.py", content: gather.reference },
      { path: "empty.py", content: "" },
    ],
  });
  const about = { name: "best_1", author: "vendor/model-9", description: "found" };

  test("lies where the layout has it, says nothing that FlashInfer-Bench refuses, and is found again", () => {
    const root = dataset();
    const path = saveSolution(root, kernel, about);
    expect(path).toMatch(/\/solutions\/vendor_model-9\/gather\/gather_rows\/best_1\.json$/);
    const written = JSON.parse(readFileSync(path, "utf8"));
    expect(written.spec).toEqual({
      language: "triton",
      target_hardware: ["H100"],
      entry_point: "main.py::run",
      dependencies: [],
      destination_passing_style: false,
    });
    expect(written.sources[1], "it refuses an empty source").toEqual({ path: "empty.py", content: "\n" });
    expect(findSolution(root, gather.name, "best_1")).toEqual({
      ...kernel,
      files: [kernel.files[0], { path: "empty.py", content: "\n" }],
    });
    expect(saveSolution(root, kernel, about), "once more").toBe(path);
  });

  test("of torch keeps its binding", () => {
    const root = dataset();
    const path = saveSolution(root, { ...kernel, language: "cuda", binding: "torch" }, about);
    expect(JSON.parse(readFileSync(path, "utf8")).spec.binding).toBe("torch");
  });

  test("under a taken name is refused, wherever it is taken, and changes nothing", () => {
    const root = dataset({ "solutions/z/z.json": solution("best_1") });
    expect(refusal(() => saveSolution(root, kernel, about))).toEqual({
      code: "dataset.duplicate",
      message: expect.stringMatching(/z\/z\.json is already called 'best_1': choose another name/),
    });
    expect(readdirSync(join(root, "solutions"))).toEqual(["z"]);
  });

  test("with a C interface is refused: FlashInfer-Bench has no word for it", () => {
    const native: Kernel = { ...kernel, language: "cpp", binding: "c-abi", destinationPassing: true };
    expect(refusal(() => saveSolution(dataset(), native, about)).code).toBe("solution.unpublishable");
  });

  test("does not leave the dataset, whatever names and links say", () => {
    const root = dataset();
    const path = saveSolution(root, kernel, { ...about, author: "../..", name: "../../up" });
    expect(dirname(path)).toBe(join(root, "solutions/__../gather/gather_rows"));
    const linked = dataset();
    mkdirSync(join(linked, "solutions"));
    symlinkSync(folderOf({}), join(linked, "solutions/vendor_model-9"));
    expect(refusal(() => saveSolution(linked, kernel, about)).code).toBe("file.path");
  });

  test("is refused where it cannot be written", () => {
    const root = dataset();
    writeFileSync(join(root, "solutions"), "a file");
    expect(refusal(() => saveSolution(root, kernel, about)).code).toBe("dataset.write");
  });
});
