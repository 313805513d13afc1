import { type EntryForm, entryOf } from "../entry.ts";

const isPython = (path: string): boolean => path.endsWith(".py");

const commentOrString = /\/\/[^\n]*|\/\*(?:[\s\S]*?\*\/|[\s\S]*$)|"(?:[^"\\\n]|\\.)*"?/g;
const pythonCommentOrString =
  /#[^\n]*|("""|''')(?:[^\\]|\\[\s\S])*?(?:\1|$)|"(?:[^"\\\n]|\\[\s\S])*"?|'(?:[^'\\\n]|\\[\s\S])*'?/g;

const isComment = (found: string): boolean => /^[#/]/.test(found);

/** The code of a file without its comments; strings stay. */
export const withoutComments = (path: string, code: string): string =>
  code.replace(isPython(path) ? pythonCommentOrString : commentOrString, (found) => (isComment(found) ? " " : found));

/** The code of a file without its comments and strings. */
const bare = (path: string, code: string): string =>
  code.replace(isPython(path) ? pythonCommentOrString : commentOrString, " ");

/** Whether the text of a form's entry file defines the entry: a prototype, a call, a comment or a string does not. */
export function definesEntry(form: EntryForm, code: string): boolean {
  const { file, symbol } = entryOf(form);
  if (form.binding === "torch") return exportsName(withoutComments(file, code), symbol);
  return isPython(file) ? definesName(bare(file, code), symbol) : definesFunction(bare(file, code), symbol);
}

const exportsName = (code: string, symbol: string): boolean =>
  /\bPYBIND11_MODULE\s*\(/.test(code) && new RegExp(`\\.\\s*def\\s*\\(\\s*"${symbol}"`).test(code);

/** Whether Python code has the name at its top level: a function, a class, an assignment or an import. */
const definesName = (code: string, symbol: string): boolean =>
  new RegExp(`^(?:def\\s+${symbol}\\s*\\(|class\\s+${symbol}\\b|${symbol}\\s*(?::[^=\\n]*)?=(?!=))`, "m").test(code) ||
  [...code.matchAll(/^from\s+[\w.]+\s+import\s(.*)/gm)].some(([, names]) => names?.match(/\w+/g)?.includes(symbol));

/** Whether C++ code has the function with its arguments and a body. */
function definesFunction(code: string, symbol: string): boolean {
  const parenthesis = new RegExp(
    `(\\b${symbol}\\s*)?\\(|\\)(\\s*(?:noexcept\\s*(?:\\([^()]*\\)\\s*)?)?(?:->\\s*\\w+\\s*)?\\{)?`,
    "g",
  );
  const opened: boolean[] = [];
  for (const [text, name, body] of code.matchAll(parenthesis))
    if (text.endsWith("(")) opened.push(name !== undefined);
    else if (opened.pop() === true && body !== undefined) return true;
  return false;
}

/** Why a text is no entry file of its form; null: it is one. */
export function entryFault(form: EntryForm, code: string): string | null {
  if (definesEntry(form, code)) return null;
  const { file, symbol } = entryOf(form);
  // The original renames a lone Model textually, super().__init__ and docstrings included (spec/ksearch.md, Appendix A). We
  // judge what was written: a reply that repeats the reference is no kernel, and the model is told what to call its own.
  if (symbol === "ModelNew" && definesName(bare(file, code), "Model"))
    return `${file} defines a class 'Model' but none called 'ModelNew'`;
  return form.binding === "torch"
    ? `${file} exports no '${symbol}': PYBIND11_MODULE with def("${symbol}", …) was not found`
    : `no definition of '${symbol}' for ${file} was found`;
}

const hexFloat = /\b0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+/;

/** Compilers of kernels that live in Python modules, by the module that their code imports. */
const dialects: Record<string, string> = { tilelang: "TileLang", cutlass: "CuTe (the CUTLASS DSL)" };
const dialectImport = /^[^\S\n]*(?:from|import)\s+(?:[\w. ]+,\s*)*(tilelang|cutlass)\b/m;

/** Why kernels in a language that others know are not judged here; null: it is none of them. */
export function dialectFault(name: string): string | null {
  const known = dialects[name === "cute" ? "cutlass" : name];
  return known === undefined
    ? null
    : `${known}: this version judges no kernels in it; write it in Triton, CUDA, C++ or Python`;
}

/**
 * What makes a file useless though it looks whole; null: nothing. A hex float is C and no Python; the original replaced it
 * by another number, silently (spec/ksearch.md B12).
 */
export function sourceFault(path: string, code: string): string | null {
  if (!isPython(path)) return null;
  const text = bare(path, code);
  const hex = hexFloat.exec(text);
  if (hex) return `${path} has the C hex-float literal ${hex[0].slice(0, 40)}, which is no Python`;
  const dialect = dialectImport.exec(text)?.[1];
  return dialect === undefined ? null : `${path} is in ${dialectFault(dialect)}`;
}
