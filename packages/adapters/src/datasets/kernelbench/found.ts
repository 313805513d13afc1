import { basename, dirname } from "node:path";
import { AppError } from "@ksearch/domain";
import { z } from "zod";
import { type Folder, openFolder } from "../folder.ts";
import { parsed, parsedLine } from "../invalid.ts";

export const levels = [1, 2, 3, 4] as const;

/** A problem of KernelBench somewhere on disk: where, as a message shows it, and how to get its code. */
export type Found = { level: number; problemId: number; title: string; where: string; code: () => string };

/** What a path holds: problems, and records of a data file that are none, each with its reason. */
export type Holding = { found: Found[]; broken: { where: string; reason: string }[] };

const fileName = /^(\d+)_(.*)\.py$/;

/**
 * The problems below a path, in one of the ways in which KernelBench is had: a checkout (`KernelBench/level1/1_Name.py`,
 * with or without the outer folder), the hub's data set as JSON lines (`level_1.jsonl`, or `.json`; also in `data/`), or
 * one Python file. Throws AppError `caller` `dataset.layout`: none of them; `dataset.parquet`: the hub's own form.
 */
export function problemsAt(path: string): Holding {
  if (path.endsWith(".py")) return { found: [oneFile(path)], broken: [] };
  const folder = openFolder(path, "KernelBench checkout or data set");
  const rows = rowsOf(folder);
  const found = [...levels.flatMap((level) => filesOf(folder, level)), ...rows.found];
  if (found.length + rows.broken.length > 0) return { found, broken: rows.broken };
  const parquet = dataFiles(folder).find((file) => file.endsWith(".parquet"));
  if (parquet)
    throw new AppError(
      "caller",
      "dataset.parquet",
      `${folder.show(parquet)} is Parquet, which ksearch does not read: write it as JSON lines with python3 -c "import pandas; pandas.read_parquet('${folder.show(parquet)}').to_json('${folder.show("level_1.jsonl")}', orient='records', lines=True)" (level_1 for its level), or use a checkout of KernelBench`,
    );
  throw new AppError(
    "caller",
    "dataset.layout",
    `${folder.root} is no KernelBench: it has neither KernelBench/level1/<id>_<name>.py nor level_1.jsonl (keys code, level, name, problem_id)`,
  );
}

/** A file by itself: level and number as its path says, or 1 and 1. */
function oneFile(path: string): Found {
  const folder = openFolder(dirname(path), "folder of the problem");
  const file = basename(path);
  const [, id, title = basename(path, ".py")] = fileName.exec(file) ?? [];
  const level = Number(/^level(\d+)$/.exec(basename(folder.root))?.[1] ?? 1);
  return {
    level,
    problemId: Number(id ?? 1),
    title,
    where: folder.show(file),
    code: () => folder.text(file),
  };
}

function filesOf(folder: Folder, level: number): Found[] {
  return [`KernelBench/level${level}`, `level${level}`].flatMap((place) =>
    folder.names(place).flatMap((file) => {
      const [, id, title] = fileName.exec(file) ?? [];
      if (id === undefined || title === undefined) return [];
      const path = `${place}/${file}`;
      return [{ level, problemId: Number(id), title, where: folder.show(path), code: () => folder.text(path) }];
    }),
  );
}

/** A line of the hub's data set. */
const Row = z.object({ code: z.string(), level: z.int(), name: z.string(), problem_id: z.int().positive() });

const levelFile = /^(?:data\/)?level_\d.*\.(jsonl|json|parquet)$/;

const dataFiles = (folder: Folder): string[] =>
  [...folder.names(""), ...folder.names("data").map((name) => `data/${name}`)].filter((file) => levelFile.test(file));

function rowsOf(folder: Folder): Holding {
  const holding: Holding = { found: [], broken: [] };
  for (const file of dataFiles(folder).filter((name) => !name.endsWith(".parquet")))
    for (const { where, value } of records(folder, file))
      try {
        const { code, level, name, problem_id } = parsed(Row, value(), where);
        const title = name.replace(/^\d+_/, "").replace(/\.py$/, "");
        holding.found.push({ level, problemId: problem_id, title, where, code: () => code });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        holding.broken.push({ where, reason: error.message });
      }
  return holding;
}

type Entry = { where: string; value: () => unknown };

/** The entries of a data file: one list, or one a line. `datasets` writes lines into a `.json` too. */
function records(folder: Folder, file: string): Entry[] {
  const shown = folder.show(file);
  const lines = [...folder.lines(file)];
  if (lines[0]?.text.trimStart().startsWith("["))
    return parsed(z.array(z.unknown()), folder.json(file), shown).map((value, index) => ({
      where: `${shown}, entry ${index + 1}`,
      value: () => value,
    }));
  return lines.map(({ text, number }) => {
    const where = `${shown}, line ${number}`;
    return { where, value: () => parsedLine(text, where) };
  });
}
