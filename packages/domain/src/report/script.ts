/** The page's own script: it makes tables sortable, sources copyable, and opens the tree at once. All is readable without. */
export const script = `"use strict";
const button = (words, act) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = words;
  made.addEventListener("click", () => act(made));
  return made;
};
for (const head of document.querySelectorAll("table.sortable thead th")) {
  const name = head.textContent;
  head.replaceChildren(button(name, () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const keyOf = (row) => row.cells[head.cellIndex].dataset.sort ?? row.cells[head.cellIndex].textContent;
    const sign = down ? -1 : 1;
    body.append(...[...body.rows].sort((a, b) => {
      const [x, y] = [keyOf(a), keyOf(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return sign * (Number(x) - Number(y) || x.localeCompare(y, "en", { numeric: true }));
    }));
  }));
}
for (const figure of document.querySelectorAll(".source")) {
  const code = figure.querySelector("code");
  figure.querySelector("figcaption").append(button("Copy", (made) => {
    const told = (words) => { made.textContent = words; setTimeout(() => { made.textContent = "Copy"; }, 2000); };
    const select = () => { getSelection().selectAllChildren(code); told("Selected: press Ctrl+C"); };
    if (navigator.clipboard) navigator.clipboard.writeText(code.textContent).then(() => told("Copied"), select);
    else select();
  }));
}
for (const place of document.querySelectorAll(".tree-tools")) {
  const all = (selector, open) => document.querySelectorAll(".tree " + selector).forEach((one) => { one.open = open; });
  place.append(button("Open all notes", () => { all("details", true); }), button("Close notes", () => { all("details.node", false); }));
}
`;
