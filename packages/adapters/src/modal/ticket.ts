import { AppError, Device, parseJson } from "@ksearch/domain";
import { z } from "zod";

/** What is kept of a call under way; nothing in it is secret. */
export const Ticket = z.strictObject({
  callId: z.string().min(1),
  requestId: z.string(),
  device: Device,
  /** No answer is waited for after this. */
  deadlineMs: z.int(),
});
export type Ticket = z.infer<typeof Ticket>;

/** AppError `operator` `referee.ticket`: another referee gave it. */
export function parseTicket(text: string): Ticket {
  const ticket = Ticket.safeParse(parseJson(text));
  if (ticket.success) return ticket.data;
  throw new AppError("operator", "referee.ticket", `'${text.slice(0, 100)}' is no ticket of the referee at Modal`);
}
