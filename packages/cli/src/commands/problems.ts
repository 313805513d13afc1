import { z } from "zod";
import { parseFlags } from "../options.ts";
import { columns, print, printJson } from "../output.ts";
import { formats, listProblems } from "../problems.ts";

const Flags = z.object({
  problems: z.string(),
  taskPath: z.string().optional(),
  taskSource: z.enum(formats).optional(),
  json: z.boolean(),
});

/** `ksearch problems`: what can be searched out of the box, or what a dataset holds. */
export function problems(rawFlags: unknown): void {
  const flags = parseFlags(Flags, rawFlags);
  const known = listProblems(flags);
  if (flags.json) printJson({ problems: known.map(({ path: _, ...facts }) => facts) });
  else
    print(
      columns([
        ["problem", "format", "kind", "sizes for", "workloads", "what"],
        ...known.map((each) =>
          each.broken === null
            ? [
                each.name,
                each.format,
                each.opType ?? "-",
                each.madeFor ?? "-",
                String(each.workloads),
                firstLine(each.description).slice(0, 90),
              ]
            : [each.name, each.format, "-", "-", "-", `broken: ${firstLine(each.broken)}`],
        ),
      ]),
    );
}

const firstLine = (text: string): string => text.split("\n")[0] ?? "";
