/** The page's style sheet. Colours differ in lightness as well as in hue (blue, orange), and none stands without a mark. */
export const style = `
:root { color-scheme: light dark; --paper: #fff; --card: #f5f7fa; --ink: #1c2128; --quiet: #59636e; --line: #d5dbe1;
  --good: #0a5fb4; --bad: #a34900; --star: #7b5800; --wash: #e8f1fb; --gold: #d19a00; --add: #e3f0fc; --del: #fdeee0; }
@media (prefers-color-scheme: dark) { :root { --paper: #0f1419; --card: #181f27; --ink: #e3e8ee; --quiet: #9ba7b4; --line: #303a45;
  --good: #6fb8ff; --bad: #f2a65e; --star: #f0c75e; --wash: #15283c; --gold: #f0c75e; --add: #15304a; --del: #402a17; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
code, pre, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .86em; }
code { overflow-wrap: anywhere; }
header, main, footer { max-width: 1160px; margin: 0 auto; padding: 0 1.25rem; }
h1 { font-size: clamp(1.3rem, 3.4vw, 2rem); line-height: 1.2; margin: .2rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .75rem; }
h3 { font-size: 1.02rem; margin: 1.75rem 0 .6rem; }
p { margin: .5rem 0; }
a { color: var(--good); }
:focus-visible { outline: 2px solid var(--good); outline-offset: 2px; border-radius: 3px; }
.quiet { color: var(--quiet); } .good { color: var(--good); } .bad { color: var(--bad); }
p.quiet { font-size: .9rem; }
.words { white-space: pre-line; overflow-wrap: anywhere; max-width: 75ch; }
header { padding-top: 2rem; }
.above { color: var(--quiet); font-size: .9rem; margin: 0; overflow-wrap: anywhere; }
.lede { max-width: 75ch; color: var(--quiet); white-space: pre-line; overflow-wrap: anywhere; }
.label { border: 1px solid var(--bad); border-left-width: 6px; border-radius: 6px; background: var(--del); padding: .6rem .9rem; margin: 1rem 0; font-size: .93rem; }
.hero { display: grid; grid-template-columns: minmax(15rem, 5fr) 7fr; gap: 1.25rem 2.5rem; align-items: start; margin: 1.5rem 0 1rem; }
.hero > * { min-width: 0; }
.result { margin: 0; }
.speed { display: block; font-size: clamp(3rem, 9vw, 4.6rem); font-weight: 700; line-height: 1; letter-spacing: -.03em; color: var(--good); font-variant-numeric: tabular-nums; }
.speed small { font-size: .55em; font-weight: 600; }
.of { display: block; font-size: 1.1rem; font-weight: 600; margin-top: .4rem; }
.result .quiet { display: block; font-size: .9rem; margin-top: .3rem; }
.doubt { display: block; font-size: .9rem; margin-top: .4rem; }
.facts-list { display: flex; flex-wrap: wrap; gap: 1px; margin: 0; background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
.facts-list div { flex: 1 1 13rem; background: var(--card); padding: .5rem .75rem; min-width: 0; }
.hero .facts-list div { flex-basis: 10rem; }
dt { color: var(--quiet); font-size: .78rem; } dd { margin: 0; font-size: .93rem; overflow-wrap: anywhere; }
nav { position: sticky; top: 0; z-index: 1; background: var(--paper); border-bottom: 1px solid var(--line); }
nav ul { max-width: 1160px; margin: 0 auto; padding: 0 .75rem; display: flex; gap: .1rem; overflow-x: auto; list-style: none; }
nav a { display: block; padding: .7rem .5rem; color: var(--ink); text-decoration: none; font-size: .9rem; white-space: nowrap; }
nav a:hover { color: var(--good); text-decoration: underline; }
section { padding: 2rem 0 .5rem; } section + section { border-top: 1px solid var(--line); margin-top: 1.5rem; }
button, .views label { font: inherit; font-size: .85rem; color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .2rem .65rem; cursor: pointer; }
button:hover, .views label:hover { border-color: var(--good); }
.views input { position: absolute; opacity: 0; }
.views input:checked + label { background: var(--good); border-color: var(--good); color: var(--paper); }
.views input:focus-visible + label { outline: 2px solid var(--good); outline-offset: 2px; }
.by-attempt, .by-time { display: none; margin-top: .75rem; }
#by-attempt:checked ~ .by-attempt, #by-time:checked ~ .by-time { display: block; }
.curve { display: block; width: 100%; height: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.tick { fill: var(--quiet); font-size: 12px; }
.grid { stroke: var(--line); fill: none; } .guide { stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 5 4; fill: none; } .guide.seed { stroke-dasharray: 1.5 3; }
.best { stroke: var(--good); stroke-width: 2.5; fill: none; stroke-linejoin: round; }
.point { fill: var(--card); stroke: var(--bad); stroke-width: 2; }
.point.passed { fill: var(--good); stroke: var(--card); stroke-width: 1.5; }
.point.star { fill: var(--gold); stroke: var(--ink); stroke-width: 1.2; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.25rem; list-style: none; padding: 0; margin: .6rem 0; font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: .35rem; } .key { width: 1.1rem; height: 1.1rem; flex: none; }
.tree, .tree ul { list-style: none; margin: 0; padding: 0; }
.tree ul { padding-left: 1.1rem; margin-left: .62rem; border-left: 1px solid var(--line); }
.tree-tools { display: flex; gap: .5rem; margin: .75rem 0; }
summary { cursor: pointer; list-style-position: outside; }
.tree .node > summary { display: grid; grid-template-columns: 1.3rem minmax(0, 1fr) 17.5rem 7.5rem; gap: .2rem .6rem; align-items: center; padding: .32rem .5rem; border-radius: 6px; list-style: none; }
.tree summary::-webkit-details-marker { display: none; }
.tree .node > summary:hover { background: var(--card); }
.tree .path > .node > summary { background: var(--wash); box-shadow: inset 3px 0 0 var(--good); }
.mark { text-align: center; font-weight: 700; }
.title { overflow-wrap: anywhere; } .id { color: var(--quiet); }
.flag { color: var(--star); font-weight: 700; white-space: nowrap; }
.measure { display: flex; align-items: center; gap: .5rem; font-variant-numeric: tabular-nums; font-size: .9rem; }
.bar { width: 5.5rem; height: .5rem; flex: none; } .track { fill: var(--line); } .fill { fill: var(--good); } .aim { fill: var(--ink); }
.figure { min-width: 3.6rem; text-align: right; font-weight: 600; } .forecast, .facts { font-size: .84rem; white-space: nowrap; }
.facts { text-align: right; }
.below > summary { color: var(--quiet); font-size: .82rem; padding: .1rem .5rem .1rem .2rem; margin-left: .15rem; list-style: none; }
.below > summary::before { content: "▸ "; } .below[open] > summary::before { content: "▾ "; }
.about { border: 1px solid var(--line); border-radius: 8px; background: var(--card); padding: .5rem .9rem; margin: .3rem 0 .7rem 1.9rem; font-size: .93rem; }
.tries { padding-left: 1.1rem; overflow-wrap: anywhere; }
.box { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { padding: .4rem .65rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; background: var(--card); color: var(--quiet); font-weight: 600; font-size: .8rem; white-space: nowrap; vertical-align: bottom; }
tbody th { font-weight: 600; white-space: nowrap; } .total { background: var(--card); }
.figures { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.status { white-space: nowrap; }
.message { min-width: 15rem; overflow-wrap: anywhere; }
.sortable thead th { padding: 0; } .sortable button { background: none; border: 0; border-radius: 0; color: inherit; font: inherit; padding: .4rem .65rem; width: 100%; text-align: left; }
[aria-sort] button { color: var(--ink); } [aria-sort=ascending] button::after { content: " ▲"; } [aria-sort=descending] button::after { content: " ▼"; }
.source { margin: .75rem 0; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; min-width: 0; }
figcaption { display: flex; justify-content: space-between; align-items: center; gap: 1rem; padding: .35rem .75rem; background: var(--card); border-bottom: 1px solid var(--line); font-size: .88rem; min-height: 2.3rem; }
pre { margin: 0; padding: .75rem; overflow: auto; max-height: 34rem; font-size: .82rem; line-height: 1.5; tab-size: 4; } pre code { font-size: 1em; overflow-wrap: normal; }
.diff { border: 1px solid var(--line); border-radius: 8px; padding: .5rem 0; }
.diff > * { display: block; padding: 0 .75rem; text-decoration: none; min-width: max-content; white-space: pre; min-height: 1.5em; }
ins { background: var(--add); } del { background: var(--del); } .hunk { color: var(--quiet); background: var(--card); }
.beside { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }
.command pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.sizes { min-width: 13rem; } td code { white-space: nowrap; overflow-wrap: normal; }
.under { display: block; font-size: .92em; }
.fold > summary { margin: 1.75rem 0 .6rem; } .fold h3 { display: inline; }
footer { padding-top: 1.5rem; padding-bottom: 3rem; color: var(--quiet); font-size: .88rem; }
@media (max-width: 760px) {
  .hero, .beside { grid-template-columns: minmax(0, 1fr); }
  .tick { font-size: 22px; }
  .tree ul { padding-left: .5rem; margin-left: .4rem; }
  .tree .node > summary { grid-template-columns: 1.3rem minmax(0, 1fr); } .measure, .facts { grid-column: 2; text-align: left; } .measure { flex-wrap: wrap; }
  .about { margin-left: 0; }
}
@media print { nav, button, .views input, .views label { display: none; } pre { max-height: none; white-space: pre-wrap; } .by-attempt, .by-time { display: block; } }
`;
