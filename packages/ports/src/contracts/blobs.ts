import { expect, test } from "vitest";
import type { Blobs } from "../blobs.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | null) => (value === null ? null : new TextDecoder().decode(value));

/** What every store of bytes must do. `make` gives a fresh, empty one. */
export function blobsContract(make: () => Promise<Blobs>): void {
  test("a missing key is null, not an error", async () => {
    expect(await (await make()).get("runs/1/none.json")).toBeNull();
  });
  test("what is put is got back, byte for byte", async () => {
    const blobs = await make();
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    expect(await blobs.put("a/b/c.bin", all)).toBe("written");
    expect(await blobs.get("a/b/c.bin")).toEqual(all);
  });
  test("the first write of a key wins", async () => {
    const blobs = await make();
    expect(await blobs.put("k", bytes("one"))).toBe("written");
    expect(await blobs.put("k", bytes("two"))).toBe("existed");
    expect(text(await blobs.get("k"))).toBe("one");
  });
  test("of racing writers exactly one wins, and its bytes are whole", async () => {
    const blobs = await make();
    const payloads = Array.from({ length: 16 }, (_, index) => String.fromCharCode(97 + index).repeat(50_000));
    const outcomes = await Promise.all(payloads.map((payload) => blobs.put("race", bytes(payload))));
    expect(outcomes.filter((outcome) => outcome === "written")).toHaveLength(1);
    expect(text(await blobs.get("race"))).toBe(payloads[outcomes.indexOf("written")]);
  });
  test("a folder does not leak into its neighbour, and lists sorted", async () => {
    const blobs = await make();
    for (const key of ["runs/1/b", "runs/10/a", "runs/1/a/x"]) await blobs.put(key, bytes("x"));
    expect(await blobs.list("runs/1/")).toEqual(["runs/1/a/x", "runs/1/b"]);
    expect(await blobs.list("runs/2/")).toEqual([]);
  });
  test.each(["../out", "/etc/passwd", "a/../../b", "a//b", ""])("the key %j is refused", async (key) => {
    await expect((await make()).put(key, bytes("x"))).rejects.toMatchObject({ code: "blobs.key" });
  });
}
