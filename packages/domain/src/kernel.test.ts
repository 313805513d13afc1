import { expect, test } from "vitest";
import { sampleKernel } from "../test/samples.ts";
import { canonicalJson, digestOf, sha256Hex } from "./digest.ts";
import { FilePath, Kernel, kernelId, toSolution } from "./kernel.ts";

test("equal values have one canonical text, whatever the order of their keys", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "é" }], a: undefined })).toBe('{"b":[1,{"c":"é","d":null}]}');
  expect(digestOf({ a: 1, b: 2 })).toBe(digestOf({ b: 2, a: 1 }));
  expect(digestOf([1, 2])).not.toBe(digestOf([2, 1]));
});

test("the digest is SHA-256 of UTF-8", () => {
  expect(sha256Hex("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(sha256Hex("é")).toBe("4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c");
});

test("a kernel's id is that of its content, not of the order of its keys", () => {
  const { files, ...rest } = sampleKernel("a");
  expect(kernelId({ files, ...rest })).toBe(kernelId({ ...rest, files }));
  expect(kernelId(sampleKernel("a"))).toMatch(/^ker_[0-9a-f]{16}$/);
});

test("names and authors are no part of a kernel, so they cannot change its id", () => {
  const kernel = sampleKernel("a");
  const by = (name: string) => toSolution(kernel, { name, author: name, description: name }).sources;
  expect(by("one")).toEqual(by("two"));
  expect(Kernel.safeParse({ ...kernel, name: "one" }).success).toBe(false);
});

test.each([
  ["content", { files: [{ path: "kernel.cpp", content: "b " }] }],
  ["file name", { files: [{ path: "kernel2.cpp", content: "b" }], entryPoint: "kernel2.cpp::run" }],
  ["language", { language: "cuda" as const }],
  ["entry", { entryPoint: "kernel.cpp::other" }],
  ["hardware", { targetHardware: ["H100"] }],
  ["dependencies", { dependencies: ["cutlass"] }],
])("another %s is another kernel", (_, change) => {
  const kernel = sampleKernel("b");
  expect(kernelId({ ...kernel, ...change })).not.toBe(kernelId(kernel));
});

test.each([
  "../a",
  "/a",
  "a/../b",
  "a//b",
  "a\\b",
  ".ssh/id",
  "a/",
  "",
  "a b",
  "~/a",
  "c:x",
  "a\n",
  "x".repeat(121),
  "./a",
  "a/./b",
])("the path %j is refused", (path) => expect(FilePath.safeParse(path).success).toBe(false));

test.each(["kernel.cpp", "include/a-b_c.1.h", "0"])("the path %j passes", (path) =>
  expect(FilePath.safeParse(path).success).toBe(true),
);

test("two files of one path are refused", () => {
  const [file] = sampleKernel().files;
  expect(Kernel.safeParse({ ...sampleKernel(), files: [file, file] }).error?.message).toContain(
    "file paths are unique",
  );
});

test.each(["../../etc/x.py::run", "/x.cpp::run", "other.cpp::run"])(
  "the entry %s must be one of the files",
  (entryPoint) => {
    expect(Kernel.safeParse({ ...sampleKernel(), entryPoint }).error?.message).toContain(
      "the entry's file is among the files",
    );
  },
);

test.each(["kernel.cpp", "kernel.cpp::", "kernel.cpp::9", "kernel.cpp::run;x"])(
  "%j is no entry point",
  (entryPoint) => {
    expect(Kernel.safeParse({ ...sampleKernel(), entryPoint }).success).toBe(false);
  },
);
