import type { RunEvent } from "@ksearch/domain";
import { expect, test } from "vitest";
import type { Events } from "../events.ts";

const round = (number: number): RunEvent => ({ type: "round.opened", round: number });

/** What every log must do. `make` gives a fresh, empty one. */
export function eventsContract(make: () => Promise<Events>): void {
  test("an unknown run has no events", async () => {
    expect(await (await make()).read("run_x", 0)).toEqual([]);
  });
  test("events are numbered from 1 and read back in order from any point", async () => {
    const events = await make();
    expect(await events.append("run_a", 0, [round(1), round(2)], 1_000)).toBe("appended");
    expect(await events.append("run_a", 2, [round(3)], 2_000)).toBe("appended");
    expect(await events.read("run_a", 0)).toEqual([
      { seq: 1, atMs: 1_000, event: round(1) },
      { seq: 2, atMs: 1_000, event: round(2) },
      { seq: 3, atMs: 2_000, event: round(3) },
    ]);
    expect((await events.read("run_a", 2)).map((logged) => logged.seq)).toEqual([3]);
    expect(await events.read("run_a", 3)).toEqual([]);
  });
  test("an append at a number that is taken is a conflict and writes nothing", async () => {
    const events = await make();
    await events.append("run_a", 0, [round(1)], 1);
    expect(await events.append("run_a", 0, [round(9), round(10)], 2)).toBe("conflict");
    expect(await events.read("run_a", 0)).toHaveLength(1);
  });
  test("an append that would leave a gap is a conflict", async () => {
    const events = await make();
    expect(await events.append("run_a", 5, [round(1)], 1)).toBe("conflict");
    expect(await events.read("run_a", 0)).toEqual([]);
  });
  test("of racing appends at one number exactly one wins", async () => {
    const events = await make();
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, index) => events.append("run_a", 0, [round(index + 1)], 1)),
    );
    expect(outcomes.filter((outcome) => outcome === "appended")).toHaveLength(1);
    expect(await events.read("run_a", 0)).toHaveLength(1);
  });
  test("runs do not mix", async () => {
    const events = await make();
    await events.append("run_1", 0, [round(1)], 1);
    await events.append("run_10", 0, [round(2)], 1);
    expect((await events.read("run_1", 0)).map((logged) => logged.event)).toEqual([round(1)]);
  });
}
