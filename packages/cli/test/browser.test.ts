import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { hostileRun } from "./hostile-run.ts";
import { ksearch, lastJson } from "./stand-ins.ts";

/** The page of `ksearch report --html` in a real browser, opened from the disk: what runs, what it asks for, how it is used. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const executablePath = "/usr/bin/chromium";
if (!existsSync(executablePath))
  console.log(`${executablePath} is missing (Debian: apt-get install chromium): skipped`);

describe.skipIf(!existsSync(executablePath))("in Chromium", () => {
  let browser: Browser;
  let file: string;
  let source: string;
  beforeAll(async () => {
    const { place } = await hostileRun();
    await ksearch(["report", "--html", "--out", "r.html"], place);
    source = lastJson(await ksearch(["kernel", "--json"], place)).kernel.files[0].content;
    file = join(place.cwd, "r.html");
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  });
  afterAll(() => browser?.close());

  /** The report in a new tab, with all that the browser complained of or asked the world for. */
  async function opened(options: BrowserContextOptions = {}): Promise<{ page: Page; told: string[] }> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const told: string[] = [];
    page.on("console", (message) => told.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => told.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => told.push(`dialog: ${dialog.message()}`));
    page.on("request", (request) => request.url() !== `file://${file}` && told.push(`request: ${request.url()}`));
    await page.goto(`file://${file}`);
    return { page, told };
  }

  test("nothing that a model, a kernel or the referee said runs or loads, whatever one touches", async () => {
    const { page, told } = await opened();
    await page.evaluate(`for (const details of document.querySelectorAll("details")) details.open = true;
      for (const element of document.querySelectorAll("*"))
        for (const name of ["mouseover", "focus", "load", "error"]) element.dispatchEvent(new Event(name));`);
    await page.mouse.move(400, 400);
    expect(await page.evaluate("window.ran ?? null")).toBeNull();
    expect(await page.locator("img, iframe, object, embed, link, base, form").count()).toBe(0);
    expect(await page.locator("script").count()).toBe(1);
    expect(told).toEqual([]);
  });

  test("what were smuggled in after all, the policy would stop", async () => {
    const { page, told } = await opened();
    const stopped: string[] = [];
    page.on("requestfailed", (request) => stopped.push(request.failure()?.errorText ?? ""));
    page.on("response", (response) => stopped.push(`answered: ${response.url()}`));
    await page.evaluate(`for (const markup of ["<script>window.ran = true</script>", "<img src=x onerror='window.ran = true'>",
        "<img src='http://127.0.0.1:9/x.png'>", "<style>body { display: none }</style>"])
      document.body.append(document.createRange().createContextualFragment(markup));`);
    await page.waitForTimeout(200);
    expect(await page.evaluate("window.ran ?? null")).toBeNull();
    expect(await page.evaluate("getComputedStyle(document.body).display")).toBe("block");
    expect(stopped).toEqual(["csp", "csp"]);
    expect(told.filter((line) => /Content Security Policy/.test(line)).length).toBeGreaterThanOrEqual(4);
  });

  test("by keyboard alone: a node opens and closes, the curve turns to the wall clock, columns sort", async () => {
    const { page, told } = await opened();
    const focused = (selector: string) => page.evaluate(`document.activeElement.matches(${JSON.stringify(selector)})`);
    const tabTo = async (selector: string) => {
      for (let tabs = 0; tabs < 200; tabs += 1) {
        await page.keyboard.press("Tab");
        if (await focused(selector)) return;
      }
      throw new Error(`no tab stop is ${selector}`);
    };
    expect(await page.locator(".by-time svg").isVisible()).toBe(false);
    await tabTo("#by-attempt");
    await page.keyboard.press("ArrowRight");
    expect(await page.locator(".by-time svg").isVisible()).toBe(true);
    expect(await page.locator(".by-attempt svg").isVisible()).toBe(false);
    await tabTo(".tree li li .node > summary");
    const notes = page.locator(".tree li li .node").first().locator(".about");
    expect(await notes.isVisible()).toBe(false);
    await page.keyboard.press("Enter");
    expect(await notes.isVisible()).toBe(true);
    expect(await notes.textContent()).toContain("Notes.\n</script><script>window.ran = true</script>");
    await page.keyboard.press("Enter");
    expect(await notes.isVisible()).toBe(false);
    await tabTo(".sortable th:nth-child(3) button");
    const scores = async () =>
      (
        await page
          .locator(".sortable tbody td:nth-child(3)")
          .evaluateAll((cells) => cells.map((cell) => cell.dataset.sort))
      )
        .filter(Boolean)
        .map(Number);
    await page.keyboard.press("Enter");
    expect(await scores()).toEqual((await scores()).toSorted((a, b) => a - b));
    expect(await page.locator(".sortable th[aria-sort=ascending]").textContent()).toContain("outcome");
    await page.keyboard.press("Enter");
    expect(await scores()).toEqual((await scores()).toSorted((a, b) => b - a));
    expect(told).toEqual([]);
  });

  test("the winner's source is copied as it is shown", async () => {
    const { page } = await opened({ permissions: ["clipboard-read", "clipboard-write"] });
    await page.getByRole("button", { name: "Copy" }).first().click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const copied = await page.evaluate("navigator.clipboard.readText()");
    expect(copied).toBe(await page.locator(".source code").first().textContent());
    const [first = "", ...others] = source.split("\n");
    expect(String(copied).split("\n").slice(-others.length)).toEqual(others);
    expect(first).toContain("</script>");
  });

  test.each([
    ["light", 1280],
    ["light", 390],
    ["dark", 1280],
    ["dark", 390],
  ] as const)(
    "%s at %i px: contrast, names and order as WCAG has them, and nothing stands out sideways",
    async (colorScheme, width) => {
      const { page } = await opened({ colorScheme, viewport: { width, height: 900 } });
      await page.evaluate(`for (const details of document.querySelectorAll("details")) details.open = true;`);
      await page.evaluate(axe.source);
      const { violations, passes } = (await page.evaluate("axe.run()")) as axe.AxeResults;
      expect(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)}`)).toEqual([]);
      expect(passes.map(({ id }) => id)).toContain("color-contrast");
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(width);
      expect(await page.evaluate("getComputedStyle(document.body).backgroundColor")).toBe(
        colorScheme === "dark" ? "rgb(15, 20, 25)" : "rgb(255, 255, 255)",
      );
    },
  );

  test("without scripts all is there to read, and no button that does nothing", async () => {
    const { page } = await opened({ javaScriptEnabled: false });
    expect(await page.locator("button").count()).toBe(0);
    await page.locator(".tree .node > summary").first().click();
    expect(await page.locator(".tree .about").first().isVisible()).toBe(true);
    await page.getByText("over wall clock").click();
    expect(await page.locator(".by-time svg").isVisible()).toBe(true);
    expect(readFileSync(file, "utf8")).not.toContain("http://");
  });
});
