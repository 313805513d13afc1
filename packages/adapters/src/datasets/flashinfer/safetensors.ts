import { AppError, type Dtype } from "@ksearch/domain";
import { z } from "zod";
import type { Bytes } from "../folder.ts";

/** Header of a file with a few captured tensors, bytes. The format allows 100 MB, for models. */
const longestHeader = 8 * 1024 * 1024;

/** The format's element types that FlashInfer-Bench knows too, and their width in bytes. */
const dtypes: ReadonlyMap<string, readonly [Dtype, number]> = new Map([
  ["F32", ["float32", 4]],
  ["F16", ["float16", 2]],
  ["BF16", ["bfloat16", 2]],
  ["F8_E4M3", ["float8_e4m3fn", 1]],
  ["F8_E5M2", ["float8_e5m2", 1]],
  ["I64", ["int64", 8]],
  ["I32", ["int32", 4]],
  ["I16", ["int16", 2]],
  ["I8", ["int8", 1]],
  ["BOOL", ["bool", 1]],
]);

/** A tensor in a file: its elements are the bytes from `begin` to `end` of the file, row-major and little-endian. */
export type StoredTensor = { dtype: Dtype; shape: number[]; begin: number; end: number };

const size = z.int().nonnegative();
const Header = z.record(
  z.string(),
  z.object({ dtype: z.string(), shape: z.array(size).max(16), data_offsets: z.tuple([size, size]) }),
);

type Header = z.infer<typeof Header>;
type Entry = Header[string];
type Refuse = (what: string) => AppError;

/**
 * Finds a tensor in a safetensors file: eight bytes with the header's length, the header as JSON, then the tensors' bytes
 * without a gap. Reads the header alone, and never past the end. Throws AppError `caller` `safetensors.invalid` where the
 * file breaks the format, `safetensors.key` where it lacks the tensor or has it in a type that we do not know.
 */
export function storedTensor(bytes: Bytes, key: string, shown: string): StoredTensor {
  const refuse: Refuse = (what) => new AppError("caller", "safetensors.invalid", `${shown}: ${what}`);
  const { header, dataBegin } = readHeader(bytes, refuse);
  checkPlaces(header, bytes.size - dataBegin, refuse);
  checkSizes(header, refuse);
  const entry = Object.hasOwn(header, key) ? header[key] : undefined;
  const [dtype] = dtypes.get(entry?.dtype ?? "") ?? [];
  if (entry && dtype) {
    const [begin, end] = entry.data_offsets;
    return { dtype, shape: entry.shape, begin: dataBegin + begin, end: dataBegin + end };
  }
  const names = Object.keys(header).slice(0, 10).map(quoted).join(", ");
  throw new AppError(
    "caller",
    "safetensors.key",
    entry
      ? `${shown}: tensor '${key}' is of type ${quoted(entry.dtype)}; known are ${[...dtypes.keys()].join(", ")}`
      : `${shown} holds no tensor '${key}': it has ${names || "none"}`,
  );
}

function readHeader(bytes: Bytes, refuse: Refuse): { header: Header; dataBegin: number } {
  if (bytes.size < 8) throw refuse(`${bytes.size} bytes are no safetensors file`);
  const first = bytes.read(0, 8);
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(longestHeader) || length > BigInt(bytes.size - 8))
    throw refuse(`a header of ${length} bytes in a file of ${bytes.size}: no safetensors file, or a part of one`);
  const { __metadata__: _, ...tensors } = jsonObject(bytes.read(8, Number(length)), refuse);
  const header = Header.safeParse(tensors);
  if (header.success) return { header: header.data, dataBegin: 8 + Number(length) };
  const [issue] = header.error.issues;
  throw refuse(`its header says of tensor ${quoted(String(issue?.path[0]))}: ${issue?.message}`);
}

function jsonObject(content: Uint8Array, refuse: Refuse): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content));
  } catch {
    throw refuse("its header is not JSON");
  }
  const object = z.record(z.string(), z.unknown()).safeParse(json);
  if (!object.success) throw refuse("its header is no JSON object");
  return object.data;
}

/** The tensors have to cover the data exactly, one after the other. */
function checkPlaces(header: Header, dataBytes: number, refuse: Refuse): void {
  let covered = 0;
  for (const [name, { data_offsets }] of Object.entries(header).sort(([, a], [, b]) => byPlace(a, b))) {
    const [begin, end] = data_offsets;
    const tensor = `tensor ${quoted(name)}`;
    if (end < begin) throw refuse(`${tensor} ends at ${end}, before its begin at ${begin}`);
    if (end > dataBytes) throw refuse(`${tensor} ends at ${end}, after the ${dataBytes} bytes that there are`);
    if (begin < covered) throw refuse(`${tensor} begins at ${begin}, within another that ends at ${covered}`);
    if (begin > covered) throw refuse(`no tensor has the bytes from ${covered} to ${begin}`);
    covered = end;
  }
  if (covered < dataBytes) throw refuse(`${dataBytes - covered} bytes after the last tensor`);
}

const byPlace = ({ data_offsets: [a, aEnd] }: Entry, { data_offsets: [b, bEnd] }: Entry): number =>
  a - b || aEnd - bEnd;

function checkSizes(header: Header, refuse: Refuse): void {
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    const [, width] = dtypes.get(dtype) ?? [];
    const [begin, end] = data_offsets;
    const wanted = shape.reduce((product, each) => product * each, width ?? 0);
    if (width !== undefined && wanted !== end - begin)
      throw refuse(
        `tensor ${quoted(name)} of ${dtype} [${shape.join(", ")}] needs ${wanted} bytes and has ${end - begin}`,
      );
  }
}

/** A name out of a file, in a message: short, and on one line. */
const quoted = (name: string): string => JSON.stringify(name).slice(0, 80);
