import { AppError, complaints, ModelLabel, ModelLabels, type RunOptions } from "@ksearch/domain";
import { z } from "zod";
import type { Deps } from "./deps.ts";
import { getJson, putJson } from "./store.ts";

const microUsd = z.int().nonnegative();

/** How one model is asked: all but the key. Its name is its label. */
export const ModelSettings = z.strictObject({
  modelName: ModelLabel,
  baseUrl: z.url().optional(),
  api: z.enum(["auto", "responses", "chat"]),
  reasoningEffort: z.string().optional(),
  background: z.boolean(),
  /** Micro-dollars per million tokens, as they were when the run began. */
  price: z.strictObject({ inputMicroUsd: microUsd, cachedInputMicroUsd: microUsd, outputMicroUsd: microUsd }),
});
export type ModelSettings = z.infer<typeof ModelSettings>;

/** Which models answer a run, kept beside it (without any key), so that `resume` asks the same ones. */
export const ModelChoice = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("replay"), transcript: z.string() }),
  z.strictObject({ kind: z.literal("agent") }),
  z.strictObject({
    kind: z.literal("openai"),
    models: z.array(ModelSettings).min(1),
    /** Those that draft, and the one that writes the world model if it is another. */
    drafts: ModelLabels,
    treeModel: ModelLabel.nullable(),
  }),
]);
export type ModelChoice = z.infer<typeof ModelChoice>;

export const recordedLabel = "recorded";
export const agentLabel = "agent";

/** The labels that a choice gives to a run. */
export function labelsOf(choice: ModelChoice): Pick<RunOptions, "models" | "treeModel"> {
  switch (choice.kind) {
    case "replay":
      return { models: [recordedLabel], treeModel: null };
    case "agent":
      return { models: [agentLabel], treeModel: null };
    case "openai":
      return { models: choice.drafts, treeModel: choice.treeModel };
  }
}

/** Live models in words: those that draft and, if it is another, the one that writes the world model. */
export const liveLabel = (choice: Exclude<ModelChoice, { kind: "replay" }>): string =>
  choice.kind === "agent"
    ? "an agent or a person (ksearch answer)"
    : `${choice.drafts.join(", ")}${choice.treeModel === null ? "" : ` (world model: ${choice.treeModel})`}`;

const firstKey = (runId: string): string => `runs/${runId}/model.json`;

/** Keeps a choice beside its run, the first one or a later one; returns its key. */
export async function keepChoice({ blobs }: Pick<Deps, "blobs">, runId: string, choice: ModelChoice) {
  for (let nth = 1; ; nth += 1) {
    const key = nth === 1 ? firstKey(runId) : firstKey(runId).replace(".json", `-${nth}.json`);
    if ((await putJson(blobs, key, choice)) === "written") return key;
  }
}

/** The choices of a run, oldest first: the last one is in force, the others' tickets and receipts may still be open. */
export async function choicesOf({ blobs, events }: Pick<Deps, "blobs" | "events">, runId: string) {
  const log = await events.read(runId, 0);
  const later = log.flatMap(({ event }) => (event.type === "models.changed" ? [event.choice] : []));
  return Promise.all(
    [firstKey(runId), ...later].map(async (key) => parseChoice(await getJson(blobs, key, z.unknown()), key)),
  );
}

function parseChoice(value: unknown, where: string): ModelChoice {
  const parsed = ModelChoice.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError(
    "operator",
    "store.corrupt",
    `${where} does not say which model answers: ${complaints(parsed.error)}`,
  );
}
