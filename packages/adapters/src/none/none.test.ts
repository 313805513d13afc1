import { trackerContract } from "@ksearch/ports/contracts";
import { noTracker } from "./index.ts";

trackerContract(async () => ({ open: noTracker, steps: async () => null }));
