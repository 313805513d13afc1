import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** What the pages on the service name has to be there. */
const root = fileURLToPath(new URL("..", import.meta.url));
const page = (name: string): string => readFileSync(`${root}docs/${name}`, "utf8");

test("every test that docs/security.md leans on exists", () => {
  const folder = `${root}packages/evaluator/tests`;
  const sources = readdirSync(folder)
    .filter((name) => name.endsWith(".py"))
    .map((name) => readFileSync(`${folder}/${name}`, "utf8"))
    .join("\n");
  const named = [...page("security.md").matchAll(/`(test_\w+)`/g)].map(([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(5);
  for (const name of named) expect(sources).toContain(`def ${name}(`);
});

test("docs/operations.md tells every setting of a stage", () => {
  const settings = new Set(readFileSync(`${root}stacks/stage.ts`, "utf8").match(/KSEARCH_[A-Z_]+/g));
  expect(settings.size).toBeGreaterThan(3);
  for (const setting of settings) expect(page("operations.md")).toContain(`\`${setting}\``);
});
