import { AppError, complaints, parseJson } from "@ksearch/domain";
import type { z } from "zod";

/** What a schema says of a file, with the place. */
export const invalid = (where: string, error: z.ZodError): AppError =>
  new AppError("caller", "problem.invalid", `${where}: ${complaints(error)}`);

/** A value by a schema. AppError `caller` `problem.invalid` says where it is not what it should be. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (!result.success) throw invalid(where, result.error);
  return result.data;
}

/** The JSON of one line. */
export function parsedLine(text: string, where: string): unknown {
  const json = parseJson(text);
  if (json === undefined) throw new AppError("caller", "problem.invalid", `${where} is not JSON`);
  return json;
}
