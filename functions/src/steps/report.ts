import { report } from "@ksearch/workflow/steps";
import { endingStep } from "../runtime.ts";

export const handler = endingStep(report);
