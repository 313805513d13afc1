import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { CompatServiceDefinition } from "nice-grpc";

/** A message of Modal's protocol, as the SDK's generated code writes and reads it. */
type Message = Record<string, unknown>;
type Codec = { encode(message: Message): { finish(): Uint8Array }; create(message: Message): Message };

export type ModalProtobuf = {
  ModalClientDefinition: CompatServiceDefinition & { methods: Record<string, object> };
  RPCStatus: Codec;
  RPCRetryPolicy: Codec;
};

/** Where the SDK's own source begins in its bundle; before it lies the generated protobuf code. */
const cut = "// src/errors.ts\n";

/**
 * The protobuf definitions of the installed SDK. It does not export them, but its bundle begins with them: that part is
 * written under node_modules/.cache with exports of its own. Always those of the pinned version; nothing is vendored.
 */
export async function modalProtobuf(): Promise<ModalProtobuf> {
  const bundle = join(dirname(createRequire(import.meta.url).resolve("modal")), "index.js");
  const source = readFileSync(bundle, "utf8");
  const end = source.indexOf(cut);
  if (end === -1) throw new Error(`${bundle} has another layout than modal 0.11.1: no '${cut.trim()}'`);
  const folder = join(dirname(bundle), "../../.cache/ksearch");
  const path = join(folder, "modal-protobuf.mjs");
  mkdirSync(folder, { recursive: true });
  const whole = `${path}.${process.pid}`;
  writeFileSync(whole, `${source.slice(0, end)}\nexport { ModalClientDefinition, RPCStatus, RPCRetryPolicy };\n`);
  renameSync(whole, path);
  return import(pathToFileURL(path).href);
}
