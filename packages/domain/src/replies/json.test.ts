import fc from "fast-check";
import { expect, test } from "vitest";
import { extractObject as extract } from "./json.ts";

const extractObject = (reply: string) => extract(reply, "ops");

const wanted = { ops: [{ op: "delete_node", node_id: "a" }] };
const json = JSON.stringify(wanted);

test.each([
  ["alone", json],
  ["over lines", JSON.stringify(wanted, null, 2)],
  ["in prose", `I thought about it.\n${json}\nThat is all.`],
  ["in a fence", `\`\`\`json\n${json}\n\`\`\``],
  ["after prose with braces", `The set {a, b} and f(x) { return x; } matter. ${json}`],
  ["after a shape that is no JSON", `As {"ops": [op, …]} asks: ${json}`],
  ["after an open brace of prose", `Let { be the brace. ${json}`],
  ["after a stray quote", `"${json}"`],
  ["after a stray quote in prose", `it's 5" wide: ${json}`],
  ["before more braces", `${json} {"later": 1}`],
  ["after an example", `As in {"ops": []}, or {}: ${json}`],
  ["after an empty object", `{} ${json}`],
  ["with CRLF", `ok\r\n${JSON.stringify(wanted, null, 2).replaceAll("\n", "\r\n")}`],
])("an object %s is found", (_, reply) => expect(extractObject(reply)).toEqual(wanted));

test("braces, quotes and escapes in its texts do not end it", () => {
  const value = { notes: 'a } b { c " d \\ e \n ```' };
  expect(extractObject(`see: ${JSON.stringify(value)}.`)).toEqual(value);
});

test("without the key, the first object is what the complaint will be about", () =>
  expect(extractObject('{"first": 1} {"second": 2}')).toEqual({ first: 1 }));

test.each([
  ["nothing", ""],
  ["prose", "no json"],
  ["a list", "[1, 2]"],
  ["a number", "3"],
  ["broken JSON, although an inner object is whole", '{"a": {"b": 1}, "c": }'],
  ["an object that is cut off, although an inner one is whole", '{"ops": [{"op": "delete_node", "node_id": "a"}, {"op'],
  ["an object that is cut off, although an example stands before it", `As in ${json}: {"ops": [`],
  ["an object that is cut off in a text", '{"notes": "and so'],
])("%s gives null", (_, reply) => expect(extractObject(reply)).toBeNull());

test("any object survives prose and fences", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
      const text = JSON.stringify(value);
      expect(extractObject(`Here: \`\`\`json\n${text}\n\`\`\` {done}`)).toEqual(JSON.parse(text));
    }),
  );
});

test("a cut anywhere gives null, never a part", () => {
  for (let end = 1; end < json.length; end += 1) expect(extractObject(json.slice(0, end))).toBeNull();
});

test.each(["{", '{"', '{"a":', "{}x".repeat(3), "{ ", '{"\\'])("300 KB of %j take no quadratic time", (part) => {
  const begun = performance.now();
  extractObject(part.repeat(Math.floor(300_000 / part.length)));
  expect(performance.now() - begun).toBeLessThan(500);
});
