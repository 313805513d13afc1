import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { blobsContract } from "@ksearch/ports/contracts";
import { describe, expect, test } from "vitest";
import { inChild } from "../../test/child.ts";
import { fileBlobs } from "./index.ts";

const newRoot = (): string => mkdtempSync(join(tmpdir(), "ksearch-files-"));
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));

describe("an absolute root", () => blobsContract(async () => fileBlobs(newRoot())));
describe("a relative root", () => blobsContract(async () => fileBlobs(`./${relative(process.cwd(), newRoot())}/`)));
describe("a root that is not there yet", () => blobsContract(async () => fileBlobs(join(newRoot(), "new", "root"))));

describe("what a person finds in the folder", () => {
  test("a blob is a plain file under its key, and nothing else lies about", async () => {
    const root = newRoot();
    await fileBlobs(root).put("runs/run_a/problem.json", bytes('{"a":1}'));
    expect(readFileSync(join(root, "runs/run_a/problem.json"), "utf8")).toBe('{"a":1}');
    expect(readdirSync(root).sort()).toEqual([".incoming", "runs"]);
    expect(readdirSync(join(root, ".incoming"))).toEqual([]);
  });

  test("a file that a person put there is found", async () => {
    const root = newRoot();
    mkdirSync(join(root, "runs"));
    writeFileSync(join(root, "runs", "by-hand.txt"), "hello");
    expect(text(await fileBlobs(root).get("runs/by-hand.txt"))).toBe("hello");
    expect(await fileBlobs(root).list("runs/")).toEqual(["runs/by-hand.txt"]);
  });
});

describe("keys", () => {
  test.each(["a.b_c-d/E.1", "_x/-y", "runs/run_a/calls/lane1-cycle2/attempt3/draft/answer.json", "run..json"])(
    "%j is a key",
    async (key) => {
      const blobs = fileBlobs(newRoot());
      await blobs.put(key, bytes("x"));
      expect(text(await blobs.get(key))).toBe("x");
    },
  );

  test.each([
    ".incoming/x",
    ".hidden",
    "a/.hidden",
    "..",
    "a/..",
    ".",
    "a/",
    "/",
    "a b",
    "ä",
    "a\\b",
    "a\u0000b",
    "a\n",
    "a:b",
    "~",
  ])("%j is refused, on every way in", async (key) => {
    const blobs = fileBlobs(newRoot());
    const refused = { who: "caller", code: "blobs.key" };
    await expect(blobs.put(key, bytes("x"))).rejects.toMatchObject(refused);
    await expect(blobs.get(key)).rejects.toMatchObject(refused);
    if (!key.endsWith("/")) await expect(blobs.list(`${key}/`)).rejects.toMatchObject(refused);
  });

  test("a blob is no folder: nothing lies below it, and nothing can be put there", async () => {
    const blobs = fileBlobs(newRoot());
    await blobs.put("a", bytes("x"));
    expect(await blobs.get("a/b")).toBeNull();
    expect(await blobs.list("a/")).toEqual([]);
    await expect(blobs.put("a/b", bytes("y"))).rejects.toMatchObject({ who: "operator", code: "store.files" });
    await expect(blobs.put("a/b/c", bytes("y"))).rejects.toMatchObject({ who: "operator", code: "store.files" });
    expect(text(await blobs.get("a"))).toBe("x");
  });

  test("a folder is no blob: reading it is an error that says so", async () => {
    const blobs = fileBlobs(newRoot());
    await blobs.put("a/b", bytes("x"));
    await expect(blobs.get("a")).rejects.toMatchObject({ who: "operator", code: "store.files" });
  });

  test("a name that is too long for the disk is told, and leaves nothing", async () => {
    const root = newRoot();
    await expect(fileBlobs(root).put("x".repeat(300), bytes("x"))).rejects.toMatchObject({
      who: "operator",
      code: "store.files",
    });
    expect(readdirSync(join(root, ".incoming"))).toEqual([]);
  });
});

test("what a killed writer left in .incoming harms nobody", async () => {
  const root = newRoot();
  mkdirSync(join(root, ".incoming"));
  writeFileSync(join(root, ".incoming", "half"), "hal");
  const blobs = fileBlobs(root);
  expect(await blobs.put("half", bytes("whole"))).toBe("written");
  expect(text(await blobs.get("half"))).toBe("whole");
});

test("a killed writer leaves whole files or none", async () => {
  const root = newRoot();
  const size = 200_000;
  const child = inChild(`
    import { fileBlobs } from "${import.meta.dirname}/index.ts";
    const blobs = fileBlobs(${JSON.stringify(root)});
    for (let n = 0; ; n += 1) {
      await blobs.put("k/" + n, new Uint8Array(${size}));
      console.log(n);
    }`);
  await child.says(/^20$/m);
  child.kill();
  const told = Number((await child.ended).stdout.trimEnd().split("\n").at(-1));
  const blobs = fileBlobs(root);
  const keys = await blobs.list("k/");
  expect(keys.length).toBeGreaterThan(told);
  for (const key of keys) expect((await blobs.get(key))?.length).toBe(size);
}, 30_000);

test("two processes put one key: one wins, and both find the same bytes", async () => {
  const root = newRoot();
  const writer = (letter: string) =>
    inChild(`
      import { fileBlobs } from "${import.meta.dirname}/index.ts";
      const blobs = fileBlobs(${JSON.stringify(root)});
      const outcomes = [];
      for (let n = 0; n < 50; n += 1) outcomes.push(await blobs.put("k/" + n, new TextEncoder().encode("${letter}")));
      console.log(JSON.stringify(outcomes));`);
  const outcomes = await Promise.all(
    ["a", "b"].map(async (letter) => JSON.parse((await writer(letter).ended).stdout) as string[]),
  );
  const blobs = fileBlobs(root);
  for (let n = 0; n < 50; n += 1) {
    const winners = ["a", "b"].filter((_, index) => outcomes[index]?.[n] === "written");
    expect(winners).toHaveLength(1);
    expect(text(await blobs.get(`k/${n}`))).toBe(winners[0]);
  }
}, 30_000);

test("a full disk: the error says what to do, no half file takes the key, and later it can be put", async () => {
  const root = newRoot();
  // A limit on file size stands in for the full disk: writing fails in the same call, with EFBIG for ENOSPC.
  const child = inChild(`
    import { spawnSync } from "node:child_process";
    const code = \`
      import { fileBlobs } from "${import.meta.dirname}/index.ts";
      await fileBlobs(${JSON.stringify(root)}).put("big", new Uint8Array(1_000_000)).then(
        () => console.log("written"),
        (error) => console.log(JSON.stringify({ who: error.who, code: error.code, message: error.message })),
      );\`;
    const shell = "trap '' XFSZ; ulimit -f 8; exec \\"$0\\" \\"$@\\"";
    const result = spawnSync("sh", ["-c", shell, process.execPath, "--input-type=module", "-e", code], { encoding: "utf8" });
    console.log(result.stdout || result.stderr);`);
  const told = JSON.parse((await child.ended).stdout);
  expect(told).toMatchObject({
    who: "operator",
    code: "store.files",
    message: expect.stringMatching(/big.*free space/s),
  });
  expect(readdirSync(join(root, ".incoming"))).toEqual([]);
  const blobs = fileBlobs(root);
  expect(await blobs.get("big")).toBeNull();
  expect(await blobs.put("big", bytes("small"))).toBe("written");
}, 30_000);

test("a root that cannot be made is told", async () => {
  const file = join(newRoot(), "file");
  writeFileSync(file, "");
  await expect(fileBlobs(file).put("k", bytes("x"))).rejects.toMatchObject({ who: "operator", code: "store.files" });
});
