import {
  AppError,
  type Device,
  digestOf,
  type EvaluationSettings,
  Examination,
  type ExaminationRequest,
  type Problem,
  problemDigest,
  problemName,
  sha256Hex,
} from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";
import { getJson, putJson } from "@ksearch/workflow";
import type { Stores } from "./local.ts";

/**
 * Has the referee look at a problem before anything is paid for: its reference runs here and passes its own check, and
 * answers that need no work fail it. What was admitted once by the same referee on the same terms is not looked at again.
 * AppError `caller` `problem.refused` with the reasons; `operator` where this host cannot judge it.
 */
export async function examine(
  stores: Stores,
  referee: Referee,
  {
    problem,
    settings,
    device,
    version,
  }: { problem: Problem; settings: EvaluationSettings; device: Device; version: string },
): Promise<Examination> {
  const { correctness, limits } = settings;
  const terms = { problem: problemDigest(problem), correctness, limits, device, version };
  const key = `examined/${sha256Hex(digestOf(terms)).slice(0, 32)}.json`;
  const known = await getJson(stores.blobs, key, Examination);
  if (known !== null) return known;
  const request: ExaminationRequest = {
    schema: "ksearch.examine/1",
    requestId: `examine/${problemName(problem)}`,
    problem,
    settings,
    device,
  };
  const examination = await referee.examine(request);
  if (examination.status === "admitted") {
    await putJson(stores.blobs, key, examination);
    return examination;
  }
  const reasons = examination.reasons.join("; ");
  if (examination.status === "infra_error")
    throw new AppError("operator", "problem.host", `${problemName(problem)} cannot be judged here: ${reasons}`);
  throw new AppError("caller", "problem.refused", `${problemName(problem)} is refused before any search: ${reasons}`);
}
