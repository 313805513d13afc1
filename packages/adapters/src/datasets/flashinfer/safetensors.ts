import { AppError, type Dtype } from "@ksearch/domain";
import { z } from "zod";
import type { Bytes } from "../folder.ts";

/** Header of a file with a few captured tensors, bytes. The format allows 100 MB, for models. */
const longestHeader = 8 * 1024 * 1024;

/** The format's element types that FlashInfer-Bench knows too, and their width in bytes. */
const dtypes: Readonly<Record<string, readonly [Dtype, number]>> = {
  F32: ["float32", 4],
  F16: ["float16", 2],
  BF16: ["bfloat16", 2],
  F8_E4M3: ["float8_e4m3fn", 1],
  F8_E5M2: ["float8_e5m2", 1],
  I64: ["int64", 8],
  I32: ["int32", 4],
  I16: ["int16", 2],
  I8: ["int8", 1],
  BOOL: ["bool", 1],
};

/** A tensor in a file: its elements are the bytes from `begin` to `end` of the file, row-major and little-endian. */
export type StoredTensor = { dtype: Dtype; shape: number[]; begin: number; end: number };

const size = z.int().nonnegative();
const Header = z.record(
  z.string(),
  z.object({ dtype: z.string(), shape: z.array(size).max(16), data_offsets: z.tuple([size, size]) }),
);

/**
 * Finds a tensor in a safetensors file: eight bytes with the header's length, the header as JSON, then the tensors' bytes
 * without a gap. Reads the header alone, and never past the end. Throws AppError `caller` `safetensors.invalid` where the
 * file breaks the format, `safetensors.key` where it lacks the tensor or has it in a type that we do not know.
 */
export function storedTensor(bytes: Bytes, key: string, shown: string): StoredTensor {
  const refuse = (what: string): AppError => new AppError("caller", "safetensors.invalid", `${shown}: ${what}`);
  if (bytes.size < 8) throw refuse(`${bytes.size} bytes are no safetensors file`);
  const length = new DataView(bytes.read(0, 8).slice().buffer).getBigUint64(0, true);
  if (length > BigInt(longestHeader) || length > BigInt(bytes.size - 8))
    throw refuse(`a header of ${length} bytes in a file of ${bytes.size}: no safetensors file, or a part of one`);
  const dataBegin = 8 + Number(length);
  const header = headerOf(bytes.read(8, Number(length)), refuse);
  const tensors = Object.entries(header);
  let covered = 0;
  for (const [name, { data_offsets }] of tensors.toSorted(([, a], [, b]) => order(a.data_offsets, b.data_offsets))) {
    const [begin, end] = data_offsets;
    if (end < begin) throw refuse(`tensor ${quoted(name)} ends at ${end}, before its begin at ${begin}`);
    if (end > bytes.size - dataBegin)
      throw refuse(`tensor ${quoted(name)} ends at ${end}, after the ${bytes.size - dataBegin} bytes that there are`);
    if (begin < covered)
      throw refuse(`tensor ${quoted(name)} begins at ${begin}, within another that ends at ${covered}`);
    if (begin > covered) throw refuse(`no tensor has the bytes from ${covered} to ${begin}`);
    covered = end;
  }
  if (covered < bytes.size - dataBegin) throw refuse(`${bytes.size - dataBegin - covered} bytes after the last tensor`);

  const found = tensors.find(([name]) => name === key)?.[1];
  if (!found)
    throw new AppError(
      "caller",
      "safetensors.key",
      `${shown} holds no tensor '${key}': it has ${
        tensors
          .slice(0, 10)
          .map(([name]) => quoted(name))
          .join(", ") || "none"
      }`,
    );
  const [dtype, width] = dtypes[found.dtype] ?? [];
  if (dtype === undefined || width === undefined)
    throw new AppError(
      "caller",
      "safetensors.key",
      `${shown}: tensor '${key}' is of type ${found.dtype}; known are ${Object.keys(dtypes).join(", ")}`,
    );
  const [begin, end] = found.data_offsets;
  const wanted = found.shape.reduce((product, each) => product * each, width);
  if (wanted !== end - begin)
    throw refuse(
      `tensor '${key}' of ${dtype} [${found.shape.join(", ")}] needs ${wanted} bytes and has ${end - begin}`,
    );
  return { dtype, shape: found.shape, begin: dataBegin + begin, end: dataBegin + end };
}

/** A name out of a file, in a message: short, and on one line. */
const quoted = (name: string): string => JSON.stringify(name).slice(0, 80);

const order = ([a, aEnd]: [number, number], [b, bEnd]: [number, number]): number => a - b || aEnd - bEnd;

function headerOf(content: Uint8Array, refuse: (what: string) => AppError): z.infer<typeof Header> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content));
  } catch {
    throw refuse("its header is not JSON");
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw refuse("its header is no JSON object");
  const { __metadata__: _, ...tensors } = json as Record<string, unknown>;
  const header = Header.safeParse(tensors);
  if (header.success) return header.data;
  const [issue] = header.error.issues;
  throw refuse(`its header says of tensor ${quoted(String(issue?.path[0]))}: ${issue?.message}`);
}
