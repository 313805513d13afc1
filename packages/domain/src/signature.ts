const commentOrString = /#[^\n]*|"(?:\\[\s\S]|[^"\\])*"|'(?:\\[\s\S]|[^'\\])*'/g;

/**
 * The parameters of a top-level Python function in order, with their annotations. Null: there is none of that name, or it
 * takes any number (`*args`, `**kwargs`). `name` is an identifier.
 */
export function parametersOf(source: string, name: string): string[] | null {
  const head = new RegExp(`^(?:async\\s+)?def\\s+${name}\\s*\\(`, "m").exec(source);
  if (!head) return null;
  const rest = source.slice(head.index + head[0].length).replace(commentOrString, "");
  const parameters: string[] = [];
  let from = 0;
  let depth = 0;
  for (const { 0: mark, index } of rest.matchAll(/[()[\]{},]/g)) {
    if ("([{".includes(mark)) depth++;
    else if (mark !== ",") depth--;
    if (depth > 0 || (depth === 0 && mark !== ",")) continue;
    parameters.push(rest.slice(from, index).trim());
    from = index + 1;
    if (depth < 0) break;
  }
  const named = parameters.filter((parameter) => !["", "*", "/"].includes(parameter));
  return named.some((parameter) => parameter.startsWith("*")) ? null : named;
}
