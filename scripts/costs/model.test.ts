import { expect, test } from "vitest";
import { pollsFor } from "./model.ts";

test.each([
  [1, 0, [5]],
  [5, 0, [5]],
  [60, 0, [5, 10, 20, 40]],
  [90, 0, [5, 10, 20, 40, 60]],
  [300, 0, [5, 10, 20, 40, 60, 60, 60, 60]],
  // The third poll begins at 45 s and still looks when the answer comes.
  [47, 5, [5, 10, 20]],
])("an answer after %i s, each poll looking for %i s: %j", (seconds, lookFor, waits) => {
  expect(pollsFor(seconds, lookFor).waits).toEqual(waits);
});

test("a poll looks no longer than until the answer is there", () => {
  expect(pollsFor(47, 5).lookedSeconds).toBe(5 + 5 + 2);
});
