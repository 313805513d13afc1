import type { LoggedEvent, RunState, UsageRow } from "@ksearch/domain";

/** Kinds of events that only slow answers, or only faults, bring. */
const ofTickets = new Set(["call.ticketed"]);
const ofFaults = new Set([
  "call.lost",
  "call.failed",
  "lane.stopped",
  "cycle.takenOver",
  "run.paused",
  "execution.started",
  "round.opened",
]);

const kindsOf = (events: readonly LoggedEvent[]) => new Set(events.map(({ event }) => event.type));
const countOf = (events: readonly LoggedEvent[], type: string) =>
  events.filter(({ event }) => event.type === type).length;

/** In what two searches of the same problem by the same words differ that should not. Times differ, so paths may. */
export function differences(local: readonly LoggedEvent[], cloud: readonly LoggedEvent[], faulty: boolean): string[] {
  const optional = (kind: string) => ofTickets.has(kind) || (faulty && ofFaults.has(kind)) || kind === "cycle.closed";
  const [here, there] = [kindsOf(local), kindsOf(cloud)];
  // What a time decides (who is best, what is proposed) may bring a kind here and not there.
  const byTimes = new Set(["tree.extended", "proposal.opened", "duel.judged"]);
  const missing = [...here].filter((kind) => !there.has(kind) && !optional(kind) && !byTimes.has(kind));
  const added = [...there].filter((kind) => !here.has(kind) && !optional(kind) && !byTimes.has(kind));
  return [
    ...missing.map((kind) => `events of the kind ${kind} are missing in the cloud's log`),
    ...added.map((kind) => `events of the kind ${kind} are in the cloud's log alone`),
    ...(countOf(local, "attempt.judged") === countOf(cloud, "attempt.judged")
      ? []
      : [`${countOf(local, "attempt.judged")} attempts were judged here, ${countOf(cloud, "attempt.judged")} there`]),
  ];
}

type Told = {
  state: RunState;
  events: readonly LoggedEvent[];
  asked: readonly string[];
  money: readonly UsageRow[];
  /** Calls whose answer is stored. */
  stored: ReadonlySet<string>;
  /** Evaluations that were begun. */
  evaluations: number;
  faulty: boolean;
};

/** Which rules a log breaks: each answer recorded once and paid once, everything settled, an ending. */
export function violations({ state, events, asked, money, stored, evaluations, faulty }: Told): string[] {
  const wrong: string[] = [];
  if (state.status !== "succeeded") wrong.push(`the run is ${state.status}: ${state.pause?.message ?? ""}`);
  const answered = events.flatMap(({ event }) => (event.type === "call.answered" ? [event.call] : []));
  const twice = answered.filter((call, index) => answered.indexOf(call) !== index);
  if (twice.length > 0) wrong.push(`recorded twice: ${twice.join(", ")}`);
  const missing = answered.filter((call) => !stored.has(call));
  if (missing.length > 0) wrong.push(`recorded, and then lost: ${missing.join(", ")}`);
  const paid = money.filter(({ outcome }) => outcome === "answered").map(({ key }) => key);
  const paidTwice = paid.filter((key, index) => paid.indexOf(key) !== index);
  if (paidTwice.length > 0) wrong.push(`paid twice: ${paidTwice.join(", ")}`);
  if (paid.length !== answered.length) wrong.push(`${answered.length} answers were recorded, ${paid.length} paid`);
  const submitted = events.filter(({ event }) => event.type === "call.submitted" && event.to === "referee").length;
  if (evaluations > submitted) wrong.push(`${evaluations} evaluations were begun, ${submitted} announced`);
  const open = [...state.calls.values()].filter((call) => call.state === "submitted");
  if (open.length > 0) wrong.push(`still open: ${open.map(({ call }) => call).join(", ")}`);
  const repeated = asked.filter((call, index) => asked.indexOf(call) !== index);
  if (!faulty && repeated.length > 0) wrong.push(`the model was asked again: ${repeated.join(", ")}`);
  // A call that was in flight when its process died is asked again; one that was recorded never is.
  const lost = new Set(
    events.flatMap(({ event }) => (event.type === "call.lost" || event.type === "call.failed" ? [event.call] : [])),
  );
  const inVain = repeated.filter((call) => !lost.has(call));
  if (inVain.length > 0) wrong.push(`asked again though nothing was lost: ${inVain.join(", ")}`);
  return wrong;
}
