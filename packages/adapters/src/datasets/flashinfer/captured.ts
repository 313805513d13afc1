import { dirname } from "node:path";
import { AppError, type Definition, type Workload } from "@ksearch/domain";
import type { Folder } from "../folder.ts";
import { type StoredTensor, storedTensor } from "./safetensors.ts";

/** What the captured tensors of a problem may hold together, bytes: a request to the referee carries them all. */
const mostCaptured = 64 * 1024 * 1024;

type Captured = { workload: string; input: string; path: string; tensor: StoredTensor };

/**
 * Workloads with the tensors that they name (`safetensors`: a file and a key) in them (`captured`: the elements). Headers
 * are read first, so that too much data is refused before any of it is. Throws AppError `caller`: a file is missing, is
 * no safetensors file, or has another shape or type than the definition says.
 */
export function withCaptured(folder: Folder, definition: Definition, workloads: readonly Workload[]): Workload[] {
  const found = workloads.flatMap((workload) =>
    Object.entries(workload.inputs).flatMap(([input, source]) =>
      source.type === "safetensors" ? [locate(folder, definition, workload, input, source)] : [],
    ),
  );
  refuseTooMuch(found, workloads.length);
  const sources = new Map(
    found.map(({ workload, input, path, tensor: { dtype, shape, begin, end } }) => {
      const elements = folder.bytes(path, ({ read }) => read(begin, end - begin));
      return [
        `${workload}/${input}`,
        { type: "captured" as const, dtype, shape, base64: Buffer.from(elements).toString("base64") },
      ];
    }),
  );
  return workloads.map((workload) => ({
    ...workload,
    inputs: Object.fromEntries(
      Object.entries(workload.inputs).map(([input, source]) => [
        input,
        sources.get(`${workload.uuid}/${input}`) ?? source,
      ]),
    ),
  }));
}

function locate(
  folder: Folder,
  definition: Definition,
  { uuid, axes }: Workload,
  input: string,
  source: Extract<Workload["inputs"][string], { type: "safetensors" }>,
): Captured {
  const refuse = (code: string, what: string): AppError => new AppError("caller", code, `workload ${uuid}: ${what}`);
  const path = source.path.replace(/^\.\//, "");
  const spec = Object.hasOwn(definition.inputs, input) ? definition.inputs[input] : undefined;
  if (!spec) throw refuse("problem.invalid", `'${input}' is no input of ${definition.name}`);
  if (spec.shape === null) throw refuse("problem.invalid", `'${input}' is a scalar, which no tensor can be`);
  if (!folder.isFile(path))
    throw refuse(
      "file.missing",
      `the captured tensors in ${folder.show(path)} are missing: get them with 'git lfs pull --include "${dirname(path)}/*"' in a clone of the dataset, or with 'hf download flashinfer-ai/flashinfer-trace --repo-type dataset --include "${dirname(path)}/*" --local-dir ${folder.root}'`,
    );
  const tensor = folder.bytes(path, (bytes) => storedTensor(bytes, source.tensor_key, folder.show(path)));
  const shape = spec.shape.map((name) => {
    const axis = definition.axes[name];
    return axis?.type === "const" ? axis.value : axes[name];
  });
  if (tensor.dtype !== spec.dtype || shape.join() !== tensor.shape.join())
    throw refuse(
      "tensor.mismatch",
      `'${input}' should be ${spec.dtype} [${shape.join(", ")}], but '${source.tensor_key}' in ${folder.show(path)} is ${tensor.dtype} [${tensor.shape.join(", ")}]`,
    );
  return { workload: uuid, input, path, tensor };
}

function refuseTooMuch(found: readonly Captured[], workloads: number): void {
  const bytes = Map.groupBy(found, ({ workload }) => workload);
  const sizes = [...bytes]
    .map(([uuid, tensors]) => ({ uuid, bytes: sum(tensors.map(({ tensor }) => tensor.end - tensor.begin)) }))
    .sort((a, b) => b.bytes - a.bytes);
  const total = sum(sizes.map((each) => each.bytes));
  if (total <= mostCaptured) return;
  const biggest = sizes.slice(0, 5).map(({ uuid, bytes }) => `${uuid} (${mebibytes(bytes)})`);
  throw new AppError(
    "caller",
    "problem.large",
    `the captured tensors of the ${workloads} workloads hold ${mebibytes(total)}, more than the ${mebibytes(mostCaptured)} that one problem may carry; the biggest are ${biggest.join(", ")}: leave them out by naming the others with --feedback-workloads`,
  );
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);
const mebibytes = (bytes: number): string => `${Math.ceil((bytes / 1024 / 1024) * 10) / 10} MiB`;
