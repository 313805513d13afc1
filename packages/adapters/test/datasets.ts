import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { AppError, type Kernel } from "@ksearch/domain";
import { afterAll } from "vitest";

/** What a test writes to disk: contents by path. Anything but text and bytes is written as JSON. */
export type Files = Record<string, unknown>;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A temporary folder that holds these files; it goes with the test file. */
export function folderOf(files: Files): string {
  const root = mkdtempSync(join(tmpdir(), "ksearch-datasets-"));
  folders.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    const isRaw = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(join(root, path), isRaw ? content : `${JSON.stringify(content)}\n`);
  }
  return root;
}

/** JSON lines. */
export const lines = (...values: unknown[]): string => values.map((value) => `${JSON.stringify(value)}\n`).join("");

/** What an act is refused with, as a user sees it: one line that an AppError `caller` says. */
export function refusal(act: () => unknown): { code: string; message: string } {
  try {
    act();
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    if (error.who !== "caller" || error.message.includes("\n")) throw new Error(`not for the caller: ${error.message}`);
    return { code: error.code, message: error.message };
  }
  throw new Error("nothing was refused");
}

export type Tensor = { dtype: string; shape: number[]; data: Uint8Array };

/** The bytes of a safetensors file with these tensors, one after the other. */
export function safetensors(tensors: Record<string, Tensor>, metadata: Record<string, string> = {}): Uint8Array {
  let end = 0;
  const header = Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
    const begin = end;
    end += data.length;
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  return fileOf(
    { __metadata__: metadata, ...Object.fromEntries(header) },
    ...Object.values(tensors).map((t) => t.data),
  );
}

/** A safetensors file of any header and any data. */
export function fileOf(header: unknown, ...data: Uint8Array[]): Uint8Array {
  const text = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return Buffer.concat([length, text, ...data]);
}

export const int32 = (...values: number[]): Tensor => ({
  dtype: "I32",
  shape: [values.length],
  data: new Uint8Array(Int32Array.from(values).buffer),
});

/** Rows of a table by their numbers, which a dataset has captured. */
export const gather = {
  name: "gather_rows",
  op_type: "gather",
  description: "Rows by number.",
  tags: ["stage:decode"],
  axes: { rows: { type: "var" }, wanted: { type: "var" }, width: { type: "const", value: 4 } },
  inputs: {
    table: { shape: ["rows", "width"], dtype: "float32" },
    index: { shape: ["wanted"], dtype: "int32" },
    scale: { shape: null, dtype: "float32" },
  },
  outputs: { out: { shape: ["wanted", "width"], dtype: "float32" } },
  reference: "def run(table, index, scale):\n    return table[index] * scale\n",
};

/** A kernel for it: its own reference, unless changed. */
export const gatherKernel = (changes: Partial<Kernel> = {}): Kernel => ({
  definition: gather.name,
  language: "python",
  entryPoint: "main.py::run",
  binding: "python",
  destinationPassing: false,
  targetHardware: ["H100"],
  dependencies: [],
  files: [{ path: "main.py", content: gather.reference }],
  ...changes,
});

export const blob = "blob/workloads/gather/gather_rows/one.safetensors";

/** A line of its workload file. */
export const gatherLine = (uuid: string, wanted = 3, index: object = captured("index")) => ({
  definition: gather.name,
  workload: {
    uuid,
    axes: { rows: 8, wanted },
    inputs: { table: { type: "random" }, index, scale: { type: "scalar", value: 2 } },
  },
  solution: null,
  evaluation: null,
});
export const captured = (tensor_key: string, path = `./${blob}`) => ({ type: "safetensors", path, tensor_key });

/** A dataset with that one definition; changes by path, undefined for a file that is not there. */
export function dataset(changes: Files = {}): string {
  const files: Files = {
    "definitions/gather/gather_rows.json": gather,
    "workloads/gather/gather_rows.jsonl": lines(gatherLine("w1"), gatherLine("w2")),
    [blob]: safetensors({ index: int32(5, 0, 7), other: int32(1) }),
    ...changes,
  };
  return folderOf(Object.fromEntries(Object.entries(files).filter(([, content]) => content !== undefined)));
}
