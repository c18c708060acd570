import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";

import { Browser, close, faults, overflow } from "./browser.js";
import { takesPictures } from "../../../tests/rig/paths.js";

const at = inject("installation");
const PICTURES = fileURLToPath(new URL("../../../../support/docs/pictures/", import.meta.url));

let browser: Browser;
beforeAll(async () => {
  browser = await Browser.start();
});
afterAll(() => browser.stop());

/** The size of a picture, in CSS pixels: 150 kB at most. */
const PICTURE = { width: 1120, height: 760 };

interface Shown {
  name: string;
  hash: string;
  /** Waits for what stands on it when it has loaded. */
  loaded: (page: Page) => Promise<unknown>;
  /** What else there is a picture of: its name, and the words that it begins with. */
  below?: Record<string, string>;
}

const VIEWS: Shown[] = [
  {
    name: "overview",
    hash: "#/overview",
    loaded: (page) => page.getByText("Who serves whom").waitFor(),
  },
  {
    name: "rollouts",
    hash: "#/rollouts",
    loaded: (page) =>
      page.getByText("promoted").or(page.getByText("rolled back")).first().waitFor(),
  },
  {
    name: "rollout",
    hash: `#/rollout/${at.rollout_id}`,
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
    below: { drill: "Rollback drill" },
  },
  {
    name: "rollout-rolled-back",
    hash: `#/rollout/${at.rolled_back_id}`,
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
    below: { evidence: "How the evidence grew" },
  },
  {
    name: "rollout-challengers",
    hash: `#/rollout/${at.challengers_id}`,
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
    below: { evidence: "quality: evidence that it is better" },
  },
  {
    name: "rollout-ensemble",
    hash: `#/rollout/${at.ensemble_id}`,
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
  },
  {
    name: "rollout-shadow",
    hash: `#/rollout/${at.shadow_id}`,
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
  },
  {
    name: "approvals",
    hash: "#/approvals",
    loaded: (page) => page.getByText("to answer").first().waitFor(),
  },
  {
    name: "approval",
    hash: `#/approval/${at.approvals[1] ?? ""}`,
    loaded: (page) => page.getByRole("button", { name: "Approve" }).waitFor(),
  },
  {
    name: "simulator",
    hash: "#/simulator",
    loaded: (page) => page.locator(".plot canvas").last().waitFor(),
  },
  { name: "jobs", hash: "#/jobs", loaded: (page) => page.getByText(at.running_id).waitFor() },
  {
    name: "job",
    hash: `#/job/${at.trained_id}`,
    loaded: (page) => page.locator(".plot canvas").waitFor(),
  },
  {
    name: "job-failed",
    hash: `#/job/${at.failed_id}`,
    loaded: (page) => page.getByRole("region", { name: "Why it failed" }).waitFor(),
  },
  {
    name: "train",
    hash: "#/train?agent=code_review&base_model=local/tiny-code",
    loaded: (page) => page.getByRole("radio", { name: /^production \$/ }).waitFor(),
  },
  {
    name: "evaluate",
    hash: "#/evaluate?agent=code_review",
    loaded: (page) => page.getByText(/^Evaluate v.* held-out examples/).waitFor(),
  },
  {
    name: "compare",
    hash: `#/compare/${at.evaluation_id}`,
    loaded: (page) => page.locator(".example").first().waitFor(),
    below: { examples: "Where they differ" },
  },
  {
    name: "registry",
    hash: "#/registry?agent=code_review",
    loaded: (page) => page.locator(".lineage-version").first().waitFor(),
  },
  {
    name: "versions",
    hash: "#/versions?agent=code_review&a=v1.0.0&b=v1.1.0",
    loaded: (page) => page.getByText("How they were trained").waitFor(),
  },
  {
    name: "gguf",
    hash: `#/gguf/${at.conversion_id}`,
    loaded: (page) => page.getByText("How to use it").waitFor(),
  },
];

describe.each(VIEWS)("$name", ({ name, hash, loaded, below = {} }) => {
  test.each(["light", "dark"] as const)(
    "shows itself %s, to everybody, and keeps to the policy",
    async (scheme) => {
      const { page, wrong } = await browser.open(at, hash, { scheme, ...PICTURE });
      await loaded(page);
      expect(await faults(page)).toEqual([]);
      expect(await overflow(page)).toBe(0);
      if (takesPictures()) await takePictures(page, scheme, name, below);
      expect(wrong).toEqual([]);
      await close(page);
    },
  );

  test("has room on a narrow screen", async () => {
    const { page } = await browser.open(at, hash, { width: 380 });
    await loaded(page);
    expect(await overflow(page)).toBe(0);
    await close(page);
  });
});

test("a page that keys alone move: from the versions to what differs between two", async () => {
  const { page, wrong } = await browser.open(at, "#/registry?agent=code_review");
  const first = page.locator(".lineage-version").first();
  await first.waitFor();
  await pressUntil(page, "Tab", () => first.evaluate((node) => node === document.activeElement));
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  const link = page.getByRole("link", { name: /^What changed since/ });
  await link.waitFor();
  await pressUntil(page, "Tab", () => link.evaluate((node) => node === document.activeElement));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "What changed between versions" }).waitFor();
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("H1");
  expect(wrong).toEqual([]);
  await close(page);
});

test("keys zoom and move along a plot, and what is shown is said", async () => {
  const { page } = await browser.open(at, `#/job/${at.trained_id}`);
  const plot = page.locator(".plot-area");
  await page.locator(".plot canvas").waitFor();
  await plot.focus();
  await page.keyboard.press("+");
  const said = page.locator(".plot [role=status]");
  await expect.poll(() => said.textContent()).toMatch(/^Shown: /);
  const before = await said.textContent();
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => said.textContent()).not.toBe(before);
  await page.getByRole("button", { name: "Numbers" }).click();
  expect(await page.getByRole("table", { name: /^Loss/ }).getByRole("row").count()).toBeGreaterThan(
    2,
  );
  await close(page);
});

test("a plot takes the colours of the theme as soon as it is switched", async () => {
  const { page } = await browser.open(at, `#/job/${at.trained_id}`);
  await page.locator(".plot canvas").waitFor();
  const drawn = (): Promise<string> =>
    page.locator(".plot canvas").evaluate((canvas: HTMLCanvasElement) => canvas.toDataURL());
  await page.waitForTimeout(200);
  const light = await drawn();
  await page.getByLabel("Colours").selectOption("dark");
  await expect.poll(drawn).not.toBe(light);
  await close(page);
});

async function takePictures(
  page: Page,
  scheme: string,
  name: string,
  below: Record<string, string>,
): Promise<void> {
  const picture = (of: string): Promise<unknown> =>
    page.screenshot({ path: `${PICTURES}${of}-${scheme}.png` });
  mkdirSync(PICTURES, { recursive: true });
  await picture(name);
  for (const [part, words] of Object.entries(below)) {
    const begin = page.getByText(words, { exact: true }).first();
    await begin.evaluate((node) => node.scrollIntoView({ block: "start" }));
    await picture(`${name}-${part}`);
  }
}

async function pressUntil(page: Page, key: string, there: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press(key);
    if (await there()) return;
  }
  throw new Error(`${key} does not lead there.`);
}
