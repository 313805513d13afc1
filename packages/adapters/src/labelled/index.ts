import { AppError } from "@ksearch/domain";
import type { Llm } from "@ksearch/ports";

/**
 * Several models as one port, each under its label. They are made when they are first asked: a model of an earlier execution
 * is wanted only for a ticket or a receipt that it left behind, and its key may no longer be there.
 */
export function labelledLlm(makers: ReadonlyMap<string, () => Llm>): Llm {
  const made = new Map<string, Llm>();
  const under = (label: string): Llm => {
    const llm = made.get(label) ?? makers.get(label)?.();
    if (llm === undefined)
      throw new AppError(
        "operator",
        "llm.label",
        `the run asks the model '${label}', whose settings are not there; there are ${[...makers.keys()].join(", ")}`,
      );
    made.set(label, llm);
    return llm;
  };
  return {
    submit: async (request) => under(request.model).submit(request),
    collect: async (ticket, label) => under(label).collect(ticket, label),
    cancel: async (ticket, label) => under(label).cancel(ticket, label),
    price: (usage, label) => under(label).price(usage, label),
  };
}
