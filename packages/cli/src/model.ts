import { AppError, complaints } from "@ksearch/domain";
import { z } from "zod";

/** Which model answers a run, kept beside it (without any key), so that `resume` asks the same one. */
export const ModelChoice = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("replay"), transcript: z.string() }),
  z.strictObject({ kind: z.literal("agent") }),
  z.strictObject({
    kind: z.literal("openai"),
    settings: z.strictObject({
      modelName: z.string().min(1),
      baseUrl: z.url().optional(),
      api: z.enum(["auto", "responses", "chat"]),
      reasoningEffort: z.string().optional(),
      price: z
        .strictObject({
          inputMicroUsd: z.number().nonnegative(),
          cachedInputMicroUsd: z.number().nonnegative(),
          outputMicroUsd: z.number().nonnegative(),
        })
        .nullable(),
    }),
  }),
]);
export type ModelChoice = z.infer<typeof ModelChoice>;

export const modelKey = (runId: string): string => `runs/${runId}/model.json`;

export function parseChoice(value: unknown, where: string): ModelChoice {
  const parsed = ModelChoice.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError(
    "operator",
    "store.corrupt",
    `${where} does not say which model answers: ${complaints(parsed.error)}`,
  );
}
