import { EndedExecution, settleExecution } from "@ksearch/workflow";
import type { Context } from "aws-lambda";
import { endedOf } from "../ended.ts";
import { llmStep } from "../runtime.ts";

const settle = llmStep((deps) => async (input) => ({
  settled: await settleExecution(deps, EndedExecution.parse(input)),
}));

/** EventBridge: an execution ended without its last step. Money and models' replies; GPUs are `evaluationsEnded.ts`'s. */
export const handler = (event: unknown, context: Context) => settle(endedOf(event), context);
