import { describe, expect, test } from "vitest";
import { sampleKernel, sampleProblem } from "../../test/samples.ts";
import type { Kernel } from "../kernel.ts";
import { vetKernel } from "./vet.ts";

const honest = sampleKernel();
const python = (content: string): Kernel => ({
  ...honest,
  language: "python",
  binding: "python",
  destinationPassing: false,
  entryPoint: "main.py::run",
  files: [{ path: "main.py", content }],
});

describe("vetKernel", () => {
  test("an honest kernel passes, whatever its comments say", () => {
    expect(vetKernel(honest, sampleProblem())).toBeNull();
    expect(vetKernel(sampleKernel('// no system() here\nextern "C" void run() {}'), sampleProblem())).toBeNull();
    expect(vetKernel(python("# a subprocess would not help\ndef run(): pass\n"), sampleProblem())).toBeNull();
  });

  test.each([
    ["system", 'extern "C" void run() { system("id"); }', /starts a program/],
    ["sockets", '#include <sys/socket.h>\nextern "C" void run() {}', /opens a network connection/],
    ["other processes", 'extern "C" void run() { ptrace(0); }', /reaches into a process/],
  ])("%s is refused before a referee is paid", (_, content, words) => {
    expect(vetKernel(sampleKernel(content), sampleProblem())).toMatch(words);
  });

  test("a Python kernel that starts a program is refused", () => {
    expect(vetKernel(python("import subprocess\ndef run(): pass\n"), sampleProblem())).toMatch(/starts a program/);
  });

  test("a text that no prompt could hold is refused with its size", () => {
    expect(vetKernel(sampleKernel("x".repeat(100_001)), sampleProblem())).toMatch(/100001 characters; at most 100000/);
  });

  test("a kernel for another problem, or without its entry file", () => {
    expect(vetKernel({ ...honest, definition: "other" }, sampleProblem())).toMatch(/for 'other'/);
    expect(vetKernel({ ...honest, entryPoint: "absent.cpp::run" }, sampleProblem())).toMatch(/'absent.cpp'/);
  });
});
