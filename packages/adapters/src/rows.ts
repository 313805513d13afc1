import { AppError } from "@ksearch/domain";
import type { z } from "zod";

/**
 * JSON text of a database's row as what it should be. Throws AppError `operator` `store.corrupt` that names `what` it was
 * to be.
 */
export function readText<T>(schema: z.ZodType<T>, text: string, what: string): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new AppError(
      "operator",
      "store.corrupt",
      `${what} in the database is not readable: restore the database from a copy`,
      { cause: error },
    );
  }
}
