import { report } from "@ksearch/workflow/steps";
import { llmStep } from "../runtime.ts";

export const handler = llmStep(report);
