/** Writes the JSON Schemas that the Python referee checks against, from the domain's zod schemas. `--check` only compares. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { EvaluationRequest, Examination, ExaminationRequest, Verdict } from "@ksearch/domain";
import { z } from "zod";

const folder = new URL("../packages/evaluator/src/ksearch_referee/schemas/", import.meta.url);
const documents = {
  "request.schema.json": EvaluationRequest,
  "result.schema.json": Verdict,
  "examine.schema.json": ExaminationRequest,
  "examined.schema.json": Examination,
};
const check = process.argv.includes("--check");
mkdirSync(folder, { recursive: true });
for (const [name, schema] of Object.entries(documents)) {
  const text = `${JSON.stringify(z.toJSONSchema(schema, { io: "input" }), null, 2)}\n`;
  const url = new URL(name, folder);
  if (!check) writeFileSync(url, text);
  else if (readFileSync(url, "utf8") !== text) {
    console.error(`${url.pathname} is stale: run node scripts/generate-schemas.ts`);
    process.exitCode = 1;
  }
}
