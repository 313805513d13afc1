import { AppError } from "@ksearch/domain";
import { nearest, type Stores } from "../local.ts";

/** The run that a person means: an id, a unique beginning or ending of one, or nothing for the newest. */
export async function pickRun(stores: Stores, given: string | undefined): Promise<string> {
  const ids = (await stores.runs.list(1_000)).map((run) => run.id);
  const [newest] = ids;
  if (newest === undefined)
    throw new AppError("caller", "run.none", `there are no runs in ${stores.root}: start one with 'ksearch run'`);
  if (given === undefined) return newest;
  if ((await stores.runs.get(given)) !== null) return given;
  const fitting = ids.filter((id) => id.startsWith(given) || id.endsWith(given));
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0];
  throw new AppError(
    "caller",
    "run.unknown",
    `there is no one run '${given}'. ${fitting.length > 1 ? `It fits ${fitting.slice(0, 5).join(", ")}` : `The nearest: ${nearest(given, ids).join(", ")}`}; 'ksearch list' shows all.`,
  );
}
