/**
 * What scripts/deploy.sh checks before anything is made, beside what the synthesis finds: settings of the stage, secrets by
 * their shape, credentials by their presence. Tells all that is wrong at once and ends with 3; with 0 it prints the stage's
 * settings as JSON.
 *
 *   node scripts/deploy-checks.ts --stage NAME [--region REGION]
 */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { messageOf } from "@ksearch/domain";
import { loadStage } from "../stacks/stage.ts";
import { settingsOf } from "./synthesis/settings.ts";

type Env = Readonly<Record<string, string | undefined>>;

const root = fileURLToPath(new URL("..", import.meta.url));

/** Keys of models: one of them is needed. What a shell or a file of variables could read otherwise is no key. */
const modelKeys = ["OPENAI_API_KEY", "GEMINI_API_KEY", "LLM_API_KEY"];
const keyShape = /^[\w.~+/=:-]{8,512}$/;
const modalShapes: [name: string, shape: RegExp, told: string][] = [
  ["MODAL_TOKEN_ID", /^ak-\w{8,}$/, "ak- and letters"],
  ["MODAL_TOKEN_SECRET", /^as-\w{8,}$/, "as- and letters"],
];

/** Never says a secret's value, only its name and length. */
function wrongSecrets(env: Env): string[] {
  const given = modelKeys.filter((name) => (env[name] ?? "") !== "");
  return [
    ...(given.length === 0 ? [`no model's key: export one of ${modelKeys.join(", ")}`] : []),
    ...given
      .filter((name) => !keyShape.test(env[name] ?? ""))
      .map(
        (name) =>
          `${name} is no key (${env[name]?.length} characters): 8 to 512 of letters, digits and . _ ~ + / = : -`,
      ),
    ...modalShapes.flatMap(([name, shape, told]) => {
      const value = env[name] ?? "";
      if (value === "")
        return [`${name} is missing: make a token with \`modal token new\` or at modal.com/settings/tokens`];
      return shape.test(value) ? [] : [`${name} is malformed (${value.length} characters): it reads ${told}`];
    }),
  ];
}

/** Where the AWS SDK finds credentials; that they are right is seen only by AWS. */
function wrongCredentials(env: Env): string[] {
  const has = (name: string): boolean => (env[name] ?? "") !== "";
  if (has("AWS_ACCESS_KEY_ID") !== has("AWS_SECRET_ACCESS_KEY"))
    return ["one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is missing: export both"];
  const home = env.HOME ?? homedir();
  const files = [
    env.AWS_CONFIG_FILE ?? join(home, ".aws/config"),
    env.AWS_SHARED_CREDENTIALS_FILE ?? join(home, ".aws/credentials"),
  ];
  const found =
    has("AWS_ACCESS_KEY_ID") ||
    [
      "AWS_WEB_IDENTITY_TOKEN_FILE",
      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
      "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ].some(has) ||
    files.some(existsSync);
  return found
    ? []
    : ["no AWS credentials: run `aws configure sso`, or export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"];
}

/** The stage's settings, or what is wrong with them. */
function readStage(name: string | undefined, region: string | undefined, env: Env) {
  try {
    const given = region === undefined ? env : { ...env, KSEARCH_REGION: region };
    return { stage: loadStage(name, settingsOf(root, name ?? "", given)), wrong: [] };
  } catch (error) {
    return { stage: null, wrong: [messageOf(error)] };
  }
}

const { values } = parseArgs({ options: { stage: { type: "string" }, region: { type: "string" } } });
const { stage, wrong } = readStage(values.stage, values.region, process.env);
const all = [...wrong, ...wrongSecrets(process.env), ...wrongCredentials(process.env)];
if (all.length > 0) {
  for (const each of all) console.error(`deploy: ${each}`);
  process.exitCode = 3;
} else console.log(JSON.stringify(stage));
