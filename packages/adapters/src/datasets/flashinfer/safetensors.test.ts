import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fileOf, int32, refusal, safetensors, type Tensor } from "../../../test/datasets.ts";
import type { Bytes } from "../folder.ts";
import { type StoredTensor, storedTensor } from "./safetensors.ts";

/** A file in memory that fails the test when it is read past its end. */
function strict(content: Uint8Array): Bytes {
  const read = (from: number, length: number): Uint8Array => {
    if (!(Number.isSafeInteger(from) && from >= 0 && length >= 0 && from + length <= content.length))
      throw new Error(`read ${length} bytes from ${from} of ${content.length}`);
    return content.subarray(from, from + length);
  };
  return { size: content.length, read };
}
const find = (content: Uint8Array, key = "index"): StoredTensor => storedTensor(strict(content), key, "a.safetensors");

const widths = { F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, I64: 8, I32: 4, I16: 2, I8: 1, BOOL: 1 };
const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    dtype: fc.constantFrom(...(Object.keys(widths) as (keyof typeof widths)[])),
    shape: fc.array(fc.nat(4), { maxLength: 3 }),
    fill: fc.nat(255),
  })
  .map(({ dtype, shape, fill }) => {
    const elements = shape.reduce((product, each) => product * each, 1);
    return { dtype, shape, data: new Uint8Array(elements * widths[dtype]).fill(fill) };
  });
const tensors = fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tensor, { minKeys: 1, maxKeys: 4 });

test("every tensor of a well-formed file is found, with its shape and exactly its bytes", () => {
  fc.assert(
    fc.property(tensors, (given) => {
      const content = safetensors(given);
      for (const [name, { shape, data }] of Object.entries(given)) {
        const { begin, end, ...found } = find(content, name);
        expect(found.shape).toEqual(shape);
        expect(content.subarray(begin, end)).toEqual(Buffer.from(data));
      }
    }),
  );
});

/** Whether a file is read or refused; anything else, as a read past the end, fails the test. */
function isRefused(content: Uint8Array): boolean {
  let found: StoredTensor;
  try {
    found = find(content);
  } catch {
    expect(refusal(() => find(content)).code).toMatch(/^safetensors\.(invalid|key)$/);
    return true;
  }
  expect(found.begin).toBeGreaterThanOrEqual(8);
  expect(found.end).toBeGreaterThanOrEqual(found.begin);
  expect(found.end).toBeLessThanOrEqual(content.length);
  return false;
}

describe("hostile files are read or refused, never past their end", () => {
  const sane = safetensors({ index: int32(1, 2, 3), other: int32(4) }, { format: "pt" });

  test("whatever bytes are changed, and wherever the file is cut", () => {
    const change = fc.record({ at: fc.nat(sane.length - 1), to: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), fc.nat(sane.length - 1), (changes, cut) => {
        expect(isRefused(sane.subarray(0, cut))).toBe(true);
        const content = Uint8Array.from(sane);
        for (const { at, to } of changes) content[at] = to;
        isRefused(content);
        isRefused(content.subarray(0, cut));
      }),
      { numRuns: 2_000 },
    );
  });

  test("whatever the header says of a tensor", () => {
    const odd = fc.oneof(
      fc.integer(),
      fc.double(),
      fc.constantFrom<unknown>(2 ** 53, 2 ** 63, 1e308, -1, null, "1", [], {}, true, 0, 8, 12, 16),
    );
    const entry = fc.record(
      {
        dtype: fc.oneof(fc.constantFrom<unknown>("I32", "F64", "I8", "constructor", "__proto__", "", 3, null)),
        shape: fc.oneof(fc.array(odd, { maxLength: 3 }), odd),
        data_offsets: fc.oneof(fc.tuple(odd, odd), fc.array(odd, { maxLength: 3 }), odd),
      },
      { requiredKeys: [] },
    );
    const name = fc.constantFrom("index", "other", "__metadata__", "__proto__", "constructor", "");
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(entry, odd)), fc.nat(64), (header, bytes) => {
        isRefused(fileOf(header, new Uint8Array(bytes)));
      }),
      { numRuns: 2_000 },
    );
  });

  test("whatever JSON, or none, the header is", () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), fc.string()), (header) => {
        expect(isRefused(fileOf(header))).toBe(true);
      }),
    );
  });

  test("whatever length the header claims", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (length) => {
        const content = Uint8Array.from(sane);
        new DataView(content.buffer).setBigUint64(0, length, true);
        isRefused(content);
      }),
    );
  });
});

describe("refused, with what is wrong", () => {
  const entry = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: "I32",
    shape,
    data_offsets: [begin, end],
  });
  const eight = new Uint8Array(8);

  test.each<[string, Uint8Array, RegExp]>([
    ["an empty file", new Uint8Array(), /0 bytes are no safetensors file/],
    ["a header longer than the file", fileOf({}).subarray(0, 9), /a header of 2 bytes in a file of 9/],
    [
      "a header of more than 8 MiB",
      fileOf(`{${" ".repeat(8 * 1024 * 1024)}}`),
      /a header of 8388610 bytes in a file of 8388618/,
    ],
    ["a header that is no JSON", fileOf("{'index'"), /its header is not JSON/],
    ["a header that is not UTF-8", Buffer.concat([Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, 255)]), /is not JSON/],
    ["a header that is a list", fileOf([]), /its header is no JSON object/],
    ["an entry without a shape", fileOf({ index: { dtype: "I32", data_offsets: [0, 8] } }, eight), /of tensor "index"/],
    ["tensors that overlap", fileOf({ index: entry(0, 8), other: entry(4, 8) }, eight), /"other" begins at 4, within/],
    ["one place for two", fileOf({ index: entry(0, 8), other: entry(0, 8) }, eight), /"other" begins at 0, within/],
    ["a tensor past the end", fileOf({ index: entry(0, 12) }, eight), /"index" ends at 12, after the 8 bytes/],
    ["a tensor that ends before it begins", fileOf({ index: entry(8, 4, [1]) }, eight), /"index" ends at 4, before/],
    ["bytes between tensors", fileOf({ index: entry(4, 8) }, eight), /no tensor has the bytes from 0 to 4/],
    ["bytes after the last", fileOf({ index: entry(0, 4) }, eight), /4 bytes after the last tensor/],
    [
      "fewer bytes than the shape needs",
      fileOf({ index: entry(0, 8, [3]) }, eight),
      /"index" of I32 \[3\] needs 12 bytes and has 8/,
    ],
    [
      "a shape whose size is beyond all numbers",
      fileOf({ index: entry(0, 8, [2 ** 40, 2 ** 40, 2 ** 40]) }, eight),
      /needs 5\.\d+e\+36 bytes and has 8/,
    ],
    [
      "a type that we do not know",
      fileOf({ index: { ...entry(0, 8, [1]), dtype: "F64" } }, eight),
      /of type "F64"; known/,
    ],
  ])("%s", (_, content, message) => {
    expect(refusal(() => find(content)).message).toMatch(message);
  });

  test("a name from the file is shown on one line and cut short", () => {
    const long = `a\n${"b".repeat(1_000)}`;
    const { message } = refusal(() => find(fileOf({ [long]: entry(0, 8) }, eight)));
    expect(message).toContain('it has "a\\nbbb');
    expect(message.length).toBeLessThan(200);
  });
});

test("a tensor of a type that we do not know may stand beside the wanted one", () => {
  const data = new Uint8Array(8);
  expect(find(safetensors({ wide: { dtype: "F64", shape: [1], data }, index: int32(9) }))).toMatchObject({
    shape: [1],
  });
});
