import { seed } from "@ksearch/workflow/steps";
import { refereeStep } from "../runtime.ts";

export const handler = refereeStep(seed);
