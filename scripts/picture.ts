/**
 * Draws a run as the terminal showed it, as SVG: the live screen after one event, then the tree at the end.
 *   FORCE_COLOR=1 node scripts/picture.ts <artifacts dir> <run> <event number> > docs/images/search.svg
 */
import { fold, treeLines } from "@ksearch/domain";
import { openStores } from "../packages/cli/src/local.ts";
import { colourCode, paint } from "../packages/cli/src/output.ts";
import { eventLine, paintNode } from "../packages/cli/src/view/events.ts";
import { screen } from "../packages/cli/src/view/screen.ts";

const [artifactsDir = ".ksearch", runId = "", number = "0"] = process.argv.slice(2);
const width = 124;
const stores = openStores(artifactsDir, false);
const log = await stores.events.read(runId, 0);
const until = log.slice(0, Number(number));
const now = until.at(-1);
const state = fold(until);
const final = fold(log);
if (!state || !final || !now) throw new Error(`no run ${runId} with ${number} events in ${artifactsDir}`);
const recent = until
  .flatMap((logged, index) => eventLine(logged, fold(until.slice(0, index + 1)) ?? state) ?? [])
  .slice(-6);
const tree = treeLines(final).map(paintNode);
const lines = [
  paint.quiet("$ scripts/quickstart.sh"),
  ...screen(state, now.atMs, width, recent),
  "",
  paint.quiet("$ npx ksearch tree"),
  ...tree,
];

const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const colours: Record<string, string> = { "36": "#56b4e9", "33": "#e69f00" };

/** One line of terminal text with its colour codes as SVG text spans, cut to the width. */
function spans(line: string): string {
  let style = { fill: "#d0d7de", weight: "normal" };
  let room = width;
  let out = "";
  for (const part of line.split(colourCode)) {
    const code = part.startsWith("\u001b[") ? part.slice(2, -1) : undefined;
    if (code === undefined) {
      const text = part.slice(0, room);
      room -= text.length;
      if (text !== "") out += `<tspan fill="${style.fill}" font-weight="${style.weight}">${xml(text)}</tspan>`;
    } else if (code === "1") style = { ...style, weight: "bold" };
    else if (code === "2") style = { ...style, fill: "#8b949e" };
    else if (code === "22") style = { fill: style.fill === "#8b949e" ? "#d0d7de" : style.fill, weight: "normal" };
    else style = { ...style, fill: colours[code] ?? "#d0d7de" };
  }
  return out;
}

const height = lines.length * 19 + 40;
const breadth = Math.ceil(width * 8.2) + 40;
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${breadth} ${height}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13.5">
<title>A search with recorded replies on four lanes, and the world model at its end</title>
<rect width="${breadth}" height="${height}" rx="10" fill="#0d1117"/>
${lines.map((line, index) => `<text x="20" y="${34 + index * 19}" xml:space="preserve">${spans(line)}</text>`).join("\n")}
</svg>
`);
