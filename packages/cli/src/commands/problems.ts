import { AppError } from "@ksearch/domain";
import { columns, print, printJson } from "../output.ts";
import { listProblems, loadProblem, madeFor } from "../problems.ts";

/** `ksearch problems`: what can be searched out of the box. */
export function problems(root: string, json: boolean): void {
  const known = listProblems(root);
  if (known.length === 0) throw new AppError("caller", "problem.none", `${root} holds no definitions/<op>/<name>.json`);
  const facts = known.map(({ name, opType }) => {
    const { definition, workloads } = loadProblem(root, name);
    return {
      name,
      opType,
      workloads: workloads.length,
      description: definition.description ?? "",
      tags: definition.tags ?? [],
      madeFor: madeFor(definition),
    };
  });
  if (json) printJson({ problems: facts });
  else
    print(
      columns([
        ["problem", "kind", "sizes for", "workloads", "what"],
        ...facts.map(({ name, opType, madeFor, workloads, description }) => [
          name,
          opType,
          madeFor ?? "-",
          String(workloads),
          description.slice(0, 90),
        ]),
      ]),
    );
}
