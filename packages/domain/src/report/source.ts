import { type Html, html } from "./html.ts";

/** Lines as they are, in a box of their own that scrolls by keyboard, too; the page's script adds a copy button. */
export const sourceBox = (name: string, content: string): Html =>
  html`<figure class="source"><figcaption>${name}</figcaption><pre tabindex="0" role="group" aria-label="${name}"><code>${content}</code></pre></figure>`;

/** Commands of a shell: like a source, with lines that wrap. */
export const commandBox = (name: string, command: string): Html =>
  html`<figure class="source command"><figcaption>${name}</figcaption><pre><code>${command}</code></pre></figure>`;

/** The head of a column; one of figures stands to the right as they do. */
export const column = (name: string, kind: "text" | "figures" = "text"): Html =>
  html`<th scope="col" class="${kind}">${name}</th>`;
export const figures = (name: string): Html => column(name, "figures");

/** A table in a box that scrolls by keyboard where the screen is narrow. */
export const tableBox = (name: string, head: readonly Html[], rows: readonly Html[], kind = "plain"): Html =>
  html`<div class="box" tabindex="0" role="group" aria-label="${name}"><table class="${kind}">
<thead><tr>${head}</tr></thead>
<tbody>
${rows}</tbody></table></div>`;

/** Names with their values. */
export const facts = (rows: readonly (readonly [name: string, value: Html | string])[]): Html =>
  html`<dl class="facts-list">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
