import { sha256Hex } from "../digest.ts";

/** Returns a number in [0, 1). */
export type Rng = () => number;

/** A generator (mulberry32) whose stream depends on the run's seed and on what it is for, so that a rerun draws the same. */
export function rngFor(seed: number, label: string): Rng {
  let a = Number.parseInt(sha256Hex(`${seed}/${label}`).slice(0, 8), 16);
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
