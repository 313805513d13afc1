import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import {
  blob,
  captured,
  dataset,
  fileOf,
  gather,
  gatherLine,
  int32,
  lines,
  refusal,
  safetensors,
} from "../../../test/datasets.ts";
import { listFlashInfer } from "./dataset.ts";
import { readFlashInfer } from "./problem.ts";

const definitionFile = "definitions/gather/gather_rows.json";
const workloadFile = "workloads/gather/gather_rows.jsonl";

const readAll = (root: string) => readFlashInfer(root, gather.name, "all").problem;
const refusedWith = (changes: Parameters<typeof dataset>[0]) => refusal(() => readAll(dataset(changes)));

describe("a problem of a dataset", () => {
  test("has the captured tensors in it, element for element", () => {
    const [first] = readAll(dataset()).workloads;
    expect(first?.inputs).toEqual({
      table: { type: "random" },
      index: {
        type: "captured",
        dtype: "int32",
        shape: [3],
        base64: Buffer.from(Int32Array.from([5, 0, 7]).buffer).toString("base64"),
      },
      scale: { type: "scalar", value: 2 },
    });
  });

  test("is found by the name in the file, at any depth, with byte order marks and CR LF", () => {
    const root = dataset({
      [definitionFile]: undefined,
      "definitions/deep/er/some.json": `\ufeff${JSON.stringify(gather, null, 2).replaceAll("\n", "\r\n")}`,
      [workloadFile]: undefined,
      "workloads/deep/er/gather_rows.jsonl": `\ufeff${lines(gatherLine("w1"), gatherLine("w2")).replaceAll("\n", "\r\n")}\r\n`,
    });
    expect(readAll(root)).toEqual(readAll(dataset()));
  });

  test("a tensor of every type and none of its dimensions is read", () => {
    const definition = {
      ...gather,
      inputs: { ...gather.inputs, index: { shape: [], dtype: "bool" } },
    };
    const data = Uint8Array.of(1);
    const root = dataset({
      [definitionFile]: definition,
      [blob]: safetensors({ index: { dtype: "BOOL", shape: [], data } }),
    });
    expect(readAll(root).workloads[0]?.inputs.index).toMatchObject({ dtype: "bool", shape: [], base64: "AQ==" });
  });

  test("an empty tensor is one", () => {
    const root = dataset({ [workloadFile]: lines(gatherLine("w1", 0)), [blob]: safetensors({ index: int32() }) });
    expect(readAll(root).workloads[0]?.inputs.index).toMatchObject({ shape: [0], base64: "" });
  });
});

describe("which workloads", () => {
  const many = (count: number) =>
    dataset({ [workloadFile]: lines(...Array.from({ length: count }, (_, i) => gatherLine(`w${i}`))) });
  const uuidsOf = (root: string, choice: Parameters<typeof readFlashInfer>[2]) =>
    readFlashInfer(root, gather.name, choice).problem.workloads.map(({ uuid }) => uuid);

  test("named ones come in the order in which they are named", () => {
    expect(uuidsOf(many(20), { uuids: ["w7", "w3", "w12"] })).toEqual(["w7", "w3", "w12"]);
  });

  test("an unknown one is refused, with the nearest", () => {
    expect(refusal(() => uuidsOf(many(20), { uuids: ["w7", "w77"] }))).toEqual({
      code: "workload.unknown",
      message: expect.stringMatching(/^gather_rows has no workload 'w77'\. Did you mean w7, /),
    });
  });

  test("one that is named twice is refused", () => {
    expect(refusal(() => uuidsOf(many(3), { uuids: ["w1", "w1"] })).message).toContain("share a uuid");
  });

  test("a sample is the seed's, without repetition, and a note names it", () => {
    const root = many(20);
    const drawn = uuidsOf(root, { sample: 5, seed: 1 });
    expect(new Set(drawn).size).toBe(5);
    expect(uuidsOf(root, { sample: 5, seed: 1 })).toEqual(drawn);
    const others = [2, 3, 4, 5].map((seed) => uuidsOf(root, { sample: 5, seed }).join());
    expect(new Set([...others, drawn.join()]).size).toBeGreaterThan(1);
    expect(readFlashInfer(root, gather.name, { sample: 5, seed: 1 }).notes).toEqual([
      `5 of 20 workloads, drawn by the seed: ${drawn.join(", ")}`,
    ]);
  });

  test("every workload is drawn by some seed", () => {
    const root = many(6);
    const drawn = Array.from({ length: 40 }, (_, seed) => uuidsOf(root, { sample: 2, seed }));
    expect(new Set(drawn.flat()).size).toBe(6);
  });

  test("a sample of more than there are is all of them", () => {
    expect(readFlashInfer(many(3), gather.name, { sample: 5, seed: 1 })).toMatchObject({
      problem: { workloads: [{ uuid: "w0" }, { uuid: "w1" }, { uuid: "w2" }] },
      notes: [],
    });
  });

  test("more than a problem may have are refused, with the flag that chooses", () => {
    expect(refusal(() => uuidsOf(many(257), "all"))).toEqual({
      code: "problem.large",
      message: expect.stringContaining("--feedback-workloads"),
    });
  });
});

describe("refused, with the file and the mend", () => {
  const rowsOf = (index: object) => ({ [workloadFile]: lines(gatherLine("w1", 3, index)) });

  test.each<[string, Parameters<typeof dataset>[0], string, RegExp]>([
    [
      "two definitions of one name, with both paths",
      { "definitions/else/copy.json": gather },
      "dataset.duplicate",
      /definitions\/else\/copy\.json and .*definitions\/gather\/gather_rows\.json; remove one$/,
    ],
    ["a definition that is no JSON", { [definitionFile]: "{" }, "file.json", /gather_rows\.json is not JSON/],
    ["a definition that is not UTF-8", { [definitionFile]: Uint8Array.of(0xff, 0xfe) }, "file.encoding", /not UTF-8/],
    [
      "a definition with a wrong dtype, with the place",
      { [definitionFile]: { ...gather, outputs: { out: { shape: ["wanted"], dtype: "float31" } } } },
      "problem.invalid",
      /gather_rows\.json: outputs\.out\.dtype: /,
    ],
    [
      "a definition of more than 8 MiB",
      { [definitionFile]: " ".repeat(8 * 1024 * 1024 + 1) },
      "file.large",
      /gather_rows\.json has 8388609 bytes, more than 8388608/,
    ],
    [
      "no workload file",
      { [workloadFile]: undefined },
      "problem.workloads",
      /workloads\/gather\/gather_rows\.jsonl is missing/,
    ],
    ["no workload", { [workloadFile]: "\n\n" }, "problem.invalid", /workloads: /],
    [
      "a broken line",
      { [workloadFile]: `${lines(gatherLine("w1"))}\n{` },
      "problem.invalid",
      /jsonl, line 3 is not JSON/,
    ],
    [
      "a workload of another definition",
      { [workloadFile]: lines({ ...gatherLine("w1"), definition: "softmax" }) },
      "problem.invalid",
      /line 1: a workload of 'softmax', not of 'gather_rows'/,
    ],
    [
      "a solution's trace among the workloads",
      { [workloadFile]: lines({ ...gatherLine("w1"), solution: "fast" }) },
      "problem.invalid",
      /line 1: solution: a workload file holds no traces of solutions/,
    ],
    [
      "two workloads of one uuid",
      { [workloadFile]: lines(gatherLine("w1"), gatherLine("w1")) },
      "problem.invalid",
      /gather_rows: two workloads share a uuid/,
    ],
    [
      "a blob that is not there, with how to get it",
      { [blob]: undefined },
      "file.missing",
      /^workload w1: .*one\.safetensors are missing: get them with 'git lfs pull --include "blob\/workloads\/gather.*hf download .*--local-dir/,
    ],
    [
      "a Git LFS pointer, with the command",
      { [blob]: `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 12\n` },
      "file.lfs",
      /one\.safetensors is a Git LFS pointer.*git lfs pull --include "blob\/workloads\/gather\/gather_rows\/one\.safetensors"/,
    ],
    [
      "a workload file that is a Git LFS pointer",
      { [workloadFile]: "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n" },
      "file.lfs",
      /git lfs pull --include "workloads\/gather\/gather_rows\.jsonl"/,
    ],
    [
      "a path with ..",
      rowsOf(captured("index", "blob/../../etc/passwd")),
      "file.path",
      /neither absolute nor contain '\.\.'/,
    ],
    ["an absolute path", rowsOf(captured("index", "/etc/passwd")), "file.path", /'\/etc\/passwd' is no path within/],
    [
      "a tensor that the file does not have, with those that it has",
      rowsOf(captured("indices")),
      "safetensors.key",
      /holds no tensor 'indices': it has "index", "other"/,
    ],
    [
      "a tensor of another shape",
      { [workloadFile]: lines(gatherLine("w1", 4)) },
      "tensor.mismatch",
      /^workload w1: 'index' should be int32 \[4\], but 'index' in .*one\.safetensors is int32 \[3\]$/,
    ],
    [
      "a tensor of another type",
      { [blob]: safetensors({ index: { ...int32(1, 2, 3), dtype: "F32" } }) },
      "tensor.mismatch",
      /should be int32 \[3\], but .* is float32 \[3\]$/,
    ],
    [
      "a captured scalar",
      {
        [workloadFile]: lines({
          workload: {
            ...gatherLine("w1").workload,
            inputs: { ...gatherLine("w1").workload.inputs, scale: captured("other") },
          },
        }),
      },
      "problem.invalid",
      /workload w1: 'scale' is a scalar/,
    ],
    [
      "a captured tensor for an input that there is none of",
      {
        [workloadFile]: lines({
          workload: {
            ...gatherLine("w1").workload,
            inputs: { ...gatherLine("w1").workload.inputs, toString: captured("other") },
          },
        }),
      },
      "problem.invalid",
      /workload w1: 'toString' is no input of gather_rows/,
    ],
  ])("%s", (_, changes, code, message) => {
    expect(refusedWith(changes)).toEqual({ code, message: expect.stringMatching(message) });
  });

  test("an unknown name, with the nearest", () => {
    expect(refusal(() => readFlashInfer(dataset(), "gather_row", "all"))).toEqual({
      code: "problem.unknown",
      message: expect.stringMatching(/^there is no definition 'gather_row' in .*\. Did you mean gather_rows\?$/),
    });
  });

  test("a folder that is no dataset, and one that is not there", () => {
    expect(refusal(() => readAll(dirname(dataset()))).code).toBe("dataset.layout");
    expect(refusal(() => readAll("/nowhere/at/all"))).toEqual({
      code: "file.missing",
      message: "the FlashInfer-Bench dataset /nowhere/at/all is not there",
    });
  });

  test("another file's defects are no concern of a problem's", () => {
    const root = dataset({ "definitions/bad/bad.json": "{", "workloads/bad/bad.jsonl": "{" });
    expect(readAll(root).workloads).toHaveLength(2);
    expect(refusal(() => readFlashInfer(root, "bad", "all")).code).toBe("file.json");
  });
});

describe("symbolic links", () => {
  const secret = () => {
    const folder = mkdtempSync(join(tmpdir(), "ksearch-elsewhere-"));
    writeFileSync(join(folder, "one.safetensors"), safetensors({ index: int32(5, 0, 7) }));
    writeFileSync(join(folder, "gather_rows.json"), JSON.stringify(gather));
    return folder;
  };

  test("a blob, a definition or a folder that lies elsewhere is refused", () => {
    const elsewhere = secret();
    const link = (path: string, target: string) => {
      const root = dataset({ [path]: undefined });
      mkdirSync(dirname(join(root, path)), { recursive: true });
      rmSync(join(root, path), { recursive: true, force: true });
      symlinkSync(target, join(root, path));
      return refusal(() => readAll(root));
    };
    const out = { code: "file.path", message: expect.stringContaining("is a symbolic link out of") };
    expect(link(blob, join(elsewhere, "one.safetensors"))).toEqual(out);
    expect(link(definitionFile, join(elsewhere, "gather_rows.json"))).toEqual(out);
    expect(link("definitions", elsewhere)).toEqual(out);
    expect(link("definitions/more", elsewhere)).toMatchObject({ message: expect.stringContaining("link to a folder") });
    rmSync(elsewhere, { recursive: true });
  });

  test("a link within the dataset, and a dataset behind a link, are fine", () => {
    const root = dataset({ [blob]: undefined, "blob/real.safetensors": safetensors({ index: int32(5, 0, 7) }) });
    mkdirSync(dirname(join(root, blob)), { recursive: true });
    symlinkSync(join(root, "blob/real.safetensors"), join(root, blob));
    symlinkSync(root, join(root, "itself"));
    expect(readAll(join(root, "itself")).workloads).toHaveLength(2);
  });

  test("a link that leads to itself is told, not followed", () => {
    const root = dataset({ [blob]: undefined });
    mkdirSync(dirname(join(root, blob)), { recursive: true });
    symlinkSync(join(root, blob), join(root, blob));
    expect(refusal(() => readAll(root)).code).toBe("file.unreadable");
  });
});

describe("much data", () => {
  const mebibyte = 1024 * 1024;
  /** A blob with an index of so many elements, of which the file holds nothing but zeros that take no room on disk. */
  function big(root: string, name: string, elements: number): object {
    const path = `blob/${name}.safetensors`;
    const head = fileOf({ index: { dtype: "I32", shape: [elements], data_offsets: [0, 4 * elements] } });
    writeFileSync(join(root, path), head);
    truncateSync(join(root, path), head.length + 4 * elements);
    return gatherLine(name, elements, captured("index", path));
  }

  test("64 MiB of captured tensors pass, one element more does not: the biggest workloads are named", () => {
    const root = dataset();
    const half = (32 * mebibyte) / 4;
    writeFileSync(join(root, workloadFile), lines(big(root, "a", half), big(root, "b", half)));
    expect(readAll(root).workloads).toHaveLength(2);
    writeFileSync(join(root, workloadFile), lines(big(root, "a", half), gatherLine("small"), big(root, "b", half + 1)));
    expect(refusal(() => readAll(root))).toEqual({
      code: "problem.large",
      message: expect.stringMatching(
        /hold 64\.1 MiB, .* are b \(32\.1 MiB\), a \(32 MiB\), small .*--feedback-workloads$/,
      ),
    });
  });

  test("a file of 100 GB costs no more than the tensor that is wanted", () => {
    const root = dataset();
    const wanted = int32(5, 0, 7);
    const end = 100e9;
    const head = fileOf(
      {
        index: { ...wanted, data: undefined, data_offsets: [0, 12] },
        rest: { dtype: "I8", shape: [end - 12], data_offsets: [12, end] },
      },
      wanted.data,
    );
    writeFileSync(join(root, blob), head);
    truncateSync(join(root, blob), head.length - 12 + end);
    expect(readAll(root).workloads[0]?.inputs.index).toMatchObject({ shape: [3] });
  });
});

describe("the list of a dataset", () => {
  test("shows what there is, and what is broken with its reason, and opens no blob", () => {
    const root = dataset({
      [blob]: undefined,
      "definitions/gather/second.json": { ...gather, name: "second", tags: ["device:cpu"] },
      "workloads/gather/second.jsonl": lines(gatherLine("w1")).replaceAll("gather_rows", "second"),
      "definitions/bad/bad.json": "{",
      "definitions/bad/lonely.json": { ...gather, name: "lonely" },
      "definitions/bad/one.json": { ...gather, name: "twice" },
      "definitions/bad/two.json": { ...gather, name: "twice" },
    });
    expect(listFlashInfer(root)).toMatchObject([
      { name: "bad", broken: expect.stringContaining("bad.json is not JSON") },
      { name: "gather_rows", broken: null, opType: "gather", workloads: 2, madeFor: "gpu", tags: ["stage:decode"] },
      { name: "lonely", broken: expect.stringContaining("lonely.jsonl is missing") },
      { name: "second", broken: null, workloads: 1, madeFor: "cpu" },
      { name: "twice", broken: expect.stringContaining("two definitions are called 'twice'") },
    ]);
  });
});

const shared = process.env.KSEARCH_SHARED ?? fileURLToPath(new URL("../../../../../../shared", import.meta.url));
const extract = join(shared, "data/flashinfer-trace");

describe.skipIf(!existsSync(extract))(
  "published definitions and workloads (skipped where they are not at hand)",
  () => {
    test("all of them are listed, none broken", () => {
      const known = listFlashInfer(extract);
      expect(known.length).toBeGreaterThan(8);
      expect(known.filter(({ broken }) => broken !== null)).toEqual([]);
    });

    test("random inputs are read as they are; captured ones say how to get them", () => {
      expect(readFlashInfer(extract, "rmsnorm_h128", { sample: 5, seed: 1 }).problem.workloads).toHaveLength(5);
      const decode = "gqa_paged_decode_h32_kv4_d128_ps1";
      expect(refusal(() => readFlashInfer(extract, decode, "all"))).toEqual({
        code: "file.missing",
        message: expect.stringContaining(`git lfs pull --include "blob/workloads/gqa_paged/${decode}/`),
      });
    });
  },
);
