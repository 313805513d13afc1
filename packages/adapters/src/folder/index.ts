import { randomUUID } from "node:crypto";
import {
  AppError,
  asAppError,
  Device,
  type EvaluationRequest,
  Examination,
  type ExaminationRequest,
  parseJson,
  sha256Hex,
  Verdict,
} from "@ksearch/domain";
import type { Blobs, Referee } from "@ksearch/ports";
import { z } from "zod";
import { type Answerer, checkDevice, readAnswer } from "../answers.ts";

export type FolderSettings = {
  /** The folder that the referee's host sees too: requests go below `requests/`, answers come below `answers/`. */
  blobs: Blobs;
  /** What a person calls that folder. */
  place: string;
  /** How long an examination is waited for on top of its own limit. */
  examineWaitMs?: number;
  pollMs?: number;
};

/** What is kept of a request on its way: the name of its files, and what its answer has to be about. */
const Ticket = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  requestId: z.string(),
  device: Device,
});
type Ticket = z.infer<typeof Ticket>;

const requestKey = (name: string): string => `requests/${name}.json`;
const cancelKey = (name: string): string => `requests/${name}.cancel`;
const answerKey = (name: string): string => `answers/${name}.json`;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A file name that tells a person what it is about; whatever makes it unique comes behind. */
const slugOf = (requestId: string): string =>
  requestId
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, 100) || "request";

/** How often an examination is asked anew after an answer that says nothing of the problem. */
const mostTries = 100;

/**
 * The referee as a folder: requests go in, `python -m ksearch_referee batch <folder>/requests <folder>/answers --watch`
 * answers them on whatever host sees the folder, or gets it carried there and back. Files appear whole or not at all, and
 * tickets are their names, so that either side may die and go on. Without a host a ticket stays open for as long as it takes.
 */
export function folderReferee({ blobs, place, examineWaitMs = 120_000, pollMs = 250 }: FolderSettings): Referee {
  const host: Answerer = {
    name: `the referee that watches ${place}`,
    renew: "install packages/evaluator of this version on its host and start its 'batch' again",
  };
  const answerOf = async (name: string): Promise<string | null> => {
    const bytes = await blobs.get(answerKey(name));
    return bytes === null ? null : new TextDecoder().decode(bytes);
  };
  const leave = (name: string, request: EvaluationRequest | ExaminationRequest) =>
    blobs.put(requestKey(name), encode(JSON.stringify(request)));
  const isThere = async (name: string): Promise<boolean> => (await blobs.list("requests/")).includes(requestKey(name));

  /** The answer to a request, as soon as it is there; null: not by then. */
  async function waitFor(name: string, untilMs: number): Promise<string | null> {
    for (;;) {
      const answer = await answerOf(name);
      if (answer !== null || Date.now() > untilMs) return answer;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  return {
    async submit(request) {
      const { requestId, device } = request;
      const ticket: Ticket = { name: `${slugOf(requestId)}-${randomUUID().slice(0, 8)}`, requestId, device };
      await leave(ticket.name, request);
      return { ticket: JSON.stringify(ticket) };
    },

    async collect(text) {
      const { name, requestId, device } = parseTicket(text);
      const answer = await answerOf(name);
      if (answer !== null) {
        try {
          const verdict = readAnswer(answer, Verdict, requestId, host);
          checkDevice(verdict, device);
          return { verdict };
        } catch (error) {
          return { ended: asAppError(error) };
        }
      }
      if (await isThere(name)) return "running";
      const lost = `the request ${requestKey(name)} is not in ${place} any more, and has no answer`;
      return { ended: new AppError("retry", "referee.lost", lost) };
    },

    /** Named by what it asks: an answer that came after nobody waited any more is found by whoever asks again. */
    async examine(request) {
      const digest = sha256Hex(JSON.stringify(request)).slice(0, 16);
      for (let nth = 0; nth < mostTries; nth += 1) {
        const name = `examine-${digest}-${nth}`;
        const isOld = (await answerOf(name)) !== null;
        if (!isOld) await leave(name, request);
        const answer = await waitFor(name, Date.now() + request.settings.limits.totalMs + examineWaitMs);
        if (answer === null) throw unanswered(place);
        try {
          const examination = readAnswer(answer, Examination, request.requestId, host);
          if (!isOld || examination.status !== "infra_error") return examination;
        } catch (error) {
          if (!isOld) throw error;
        }
      }
      throw new AppError("operator", "referee.infra", `${mostTries} examinations of this problem failed in ${place}`);
    },

    async cancel(text) {
      const ticket = Ticket.safeParse(parseJson(text));
      if (!ticket.success || !(await isThere(ticket.data.name))) return;
      if ((await answerOf(ticket.data.name)) === null) await blobs.put(cancelKey(ticket.data.name), encode(""));
    },

    price: () => 0,
  };
}

/** AppError `operator` `referee.ticket`: another referee gave it. */
function parseTicket(text: string): Ticket {
  const ticket = Ticket.safeParse(parseJson(text));
  if (ticket.success) return ticket.data;
  throw new AppError("operator", "referee.ticket", `'${text.slice(0, 100)}' is no ticket of a referee behind a folder`);
}

const unanswered = (place: string): AppError =>
  new AppError(
    "retry",
    "referee.unwatched",
    `nobody has answered in ${place} yet: run 'python -m ksearch_referee batch ${place}/requests ${place}/answers --watch' where the GPU is, or carry the folder there and back, then try again`,
  );
