import type { Device } from "@ksearch/domain";
import type { Referee } from "@ksearch/ports";

export type Route = {
  referee: Referee;
  /** Whether it judges on a device, and whether a ticket is one of its own. */
  takes: (device: Device) => boolean;
  owns: (ticket: string) => boolean;
};

/** Several referees as one: the first that takes a device judges on it, and `last` on all others. */
export function routedReferee(routes: readonly Route[], last: Referee): Referee {
  const of = (device: Device): Referee => routes.find(({ takes }) => takes(device))?.referee ?? last;
  const owner = (ticket: string): Referee => routes.find(({ owns }) => owns(ticket))?.referee ?? last;
  return {
    submit: (request) => of(request.device).submit(request),
    collect: (ticket) => owner(ticket).collect(ticket),
    job: async (ticket) => (await owner(ticket).job?.(ticket)) ?? null,
    // A look at a problem is wanted at once, which a job is not.
    examine: (request) => last.examine(request),
    cancel: (ticket) => owner(ticket).cancel(ticket),
    price: (durationMs, device) => of(device).price(durationMs, device),
  };
}
