import type { Device } from "@ksearch/domain";

/**
 * The GPU as Modal is asked for it. `H100!`: plain `H100` may be served by an H200, whose times are no H100's; A100 comes
 * with 40 or 80 GB. Repeated for the deployed app in packages/evaluator/src/ksearch_referee/modal_devices.py; a test compares.
 */
export const modalGpus = {
  T4: "T4",
  L4: "L4",
  A10: "A10",
  L40S: "L40S",
  "A100-80GB": "A100-80GB",
  H100: "H100!",
  H200: "H200",
  B200: "B200",
} as const satisfies Partial<Record<Device, string>>;

/** Name of the deployed function of each device that can be asked for. */
export type DeviceFunctions = Readonly<Partial<Record<Device, string>>>;

/** Of a device `A100-80GB` the function is `judge_a100_80gb`. */
export const functionName = (device: Device): string => `judge_${device.toLowerCase().replaceAll("-", "_")}`;

export const gpuFunctions: DeviceFunctions = Object.fromEntries(
  (Object.keys(modalGpus) as (keyof typeof modalGpus)[]).map((device) => [device, functionName(device)]),
);

/** What a container reserves beside its GPU, and how long one call may take; the deployed app has the same figures. */
export const container = { cpuCores: 8, memoryGiB: 32, timeoutMs: 1_800_000 } as const;

/**
 * Micro-dollars a second of Modal's public price list as read on 2026-10-04, without the surcharge for a pinned region: per
 * GPU, per CPU core and per GiB of memory.
 */
export const modalPrices = {
  asOf: "2026-10-04",
  gpu: { T4: 164, L4: 222, A10: 306, L40S: 542, "A100-80GB": 694, H100: 1_097, H200: 1_261, B200: 1_736 },
  cpuCore: 13.1,
  memoryGiB: 2.22,
} as const satisfies { gpu: Record<keyof typeof modalGpus, number>; [name: string]: unknown };

/** Modal bills the container's life: what goes before the evaluation (the imports of Python) counts, too. */
const startMs = 10_000;

/** Whole micro-dollars of a container that works so long on an evaluation. */
export function priceOf(durationMs: number, device: Device): number {
  const gpu: Partial<Record<Device, number>> = modalPrices.gpu;
  const aSecond =
    (gpu[device] ?? 0) + container.cpuCores * modalPrices.cpuCore + container.memoryGiB * modalPrices.memoryGiB;
  return Math.ceil(((durationMs + startMs) / 1_000) * aSecond);
}
