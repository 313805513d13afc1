import fc from "fast-check";
import { expect, test } from "vitest";
import { escaped, html } from "./html.ts";

test("values are text, HTML stays HTML, nothing is nothing", () => {
  const item = (name: string) => html`<li>${name}</li>`;
  expect(html`<ul title="${'a "b"'}">${["<", "&"].map(item)}${null}${3}</ul>`.markup).toBe(
    '<ul title="a &quot;b&quot;"><li>&lt;</li><li>&amp;</li>3</ul>',
  );
});

test.each([
  [
    "colours, cursor and title of a terminal vanish",
    "\u001b[1;31mx\u001b[2K\u001b]0;title\u0007\u001b]8;;u\u001b\\y",
    "xy",
  ],
  ["what is left of a torn code shows", "\u001b[", "\ufffd["],
  ["what turns the direction of reading shows", "if (a\u202e) {\u2066", "if (a\ufffd) {\ufffd"],
  ["line separators that are none in HTML show", "a\u2028b\u2029c\u0085", "a\ufffdb\ufffdc\ufffd"],
  ["line ends are one, tabs stay", "a\r\nb\rc\td", "a\nb\nc\td"],
  ["half a character shows", "\ud83d", "\ufffd"],
  ["a whole one stays", "😀 é 漢", "😀 é 漢"],
])("%s", (_, given, shown) => {
  expect(escaped(given)).toBe(shown);
});

test("no text can leave its place, in an element or in a quoted attribute", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (given) => {
      expect(escaped(given)).not.toMatch(/[<>"']|&(?!(amp|lt|gt|quot|#39);)/);
    }),
  );
});
