import { AppError, FlashInferProblem, rngFor, type Workload } from "@ksearch/domain";
import { parsed } from "../invalid.ts";
import { didYouMean } from "../nearest.ts";
import { withCaptured } from "./captured.ts";
import { definitionOf, openDataset, publishedWorkloads } from "./dataset.ts";

/** Which of a definition's workloads a kernel is judged on: all, these in this order, the first ones, or some drawn by a seed. */
export type WorkloadChoice =
  | "all"
  | { uuids: readonly string[] }
  | { first: number }
  | { sample: number; seed: number };

/** What a problem may have (`FlashInferProblem`). */
const mostWorkloads = 256;

/**
 * A problem of a FlashInfer-Bench dataset by its definition's name, with everything that a judgement needs in it. `notes`:
 * what a person should know of how it was read. Throws AppError `caller` with the file and the mend.
 */
export function readFlashInfer(
  root: string,
  name: string,
  choice: WorkloadChoice,
): { problem: FlashInferProblem; notes: string[] } {
  const folder = openDataset(root);
  const definition = definitionOf(folder, name);
  const all = publishedWorkloads(folder, definition);
  const { workloads, notes } = chosen(all, choice, name);
  if (workloads.length > mostWorkloads)
    throw new AppError(
      "caller",
      "problem.large",
      `${name} has ${workloads.length} workloads, more than the ${mostWorkloads} of one problem: name some with --feedback-workloads`,
    );
  const where = `${folder.root}: ${name}`;
  const published = parsed(FlashInferProblem, { format: "flashinfer", definition, workloads }, where);
  return { problem: { ...published, workloads: withCaptured(folder, definition, published.workloads) }, notes };
}

type Chosen = { workloads: readonly Workload[]; notes: string[] };

function chosen(all: readonly Workload[], choice: WorkloadChoice, name: string): Chosen {
  if (choice === "all") return { workloads: all, notes: [] };
  if ("uuids" in choice) return { workloads: choice.uuids.map((uuid) => named(all, uuid, name)), notes: [] };
  if ("first" in choice) return { workloads: all.slice(0, choice.first), notes: [] };
  if (choice.sample >= all.length) return { workloads: all, notes: [] };
  const drawn = sampled(all, choice.sample, rngFor(choice.seed, `workloads/${name}`));
  const uuids = drawn.map(({ uuid }) => uuid).join(", ");
  return { workloads: drawn, notes: [`${drawn.length} of ${all.length} workloads, drawn by the seed: ${uuids}`] };
}

function named(all: readonly Workload[], uuid: string, name: string): Workload {
  const found = all.find((workload) => workload.uuid === uuid);
  if (found) return found;
  const near = didYouMean(
    uuid,
    all.map((workload) => workload.uuid),
  );
  throw new AppError("caller", "workload.unknown", `${name} has no workload '${uuid}'.${near}`);
}

/** So many of a list, each as likely as any other, in the list's order. */
function sampled<T>(list: readonly T[], count: number, random: () => number): T[] {
  const places = list.map((_, place) => place);
  const drawn = Array.from({ length: count }, () => places.splice(Math.floor(random() * places.length), 1)[0]);
  return list.filter((_, place) => drawn.includes(place));
}
