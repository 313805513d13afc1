import { openRound } from "@ksearch/workflow/steps";
import { step } from "../runtime.ts";

export const handler = step(openRound);
