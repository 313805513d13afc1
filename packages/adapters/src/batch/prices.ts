import type { Device } from "@ksearch/domain";

/**
 * Micro-dollars a second of the instance that a device's job runs on, on demand in us-east-1, as read on 2026-11-22
 * (spec/modal.md 6). An instance with several GPUs is shared by as many jobs; one job alone on it costs all of it.
 */
export const batchPrices = {
  asOf: "2026-11-22",
  instance: { T4: 146, L4: 224, L40S: 517, "A100-80GB": 7_625, H100: 1_911, H200: 17_583, B200: 31_647 },
} as const satisfies { asOf: string; instance: Partial<Record<Device, number>> };

/** What an instance runs beside the evaluation: its start, and twenty minutes of waiting for the next, shared by few. */
const idleMs = 300_000;

/** Whole micro-dollars of a job that takes so long, with its part of what an instance idles. */
export function priceOf(durationMs: number, device: Device): number {
  const instance: Partial<Record<Device, number>> = batchPrices.instance;
  return Math.ceil(((durationMs + idleMs) / 1_000) * (instance[device] ?? 0));
}
