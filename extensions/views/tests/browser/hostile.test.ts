import type { Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { Browser, close, overflow } from "./browser.js";

const at = inject("installation");

/** What nobody should be able to do to a page by a name, a message or an answer. */
const HOSTILE = [
  "<img src=x onerror=\"document.title='pwned'\"><script>alert(1)</script>",
  "</pre></textarea><svg onload=alert(2)>",
  "**bold** [click](javascript:alert(3)) `x`\n# heading\n| a | b |",
  "\u202edetrevni\u202c שלום, עולם — مرحبا بالعالم",
  "control \u0000\u0007\u001b[31mred\u001b[0m \u2028 \ufeff end",
  "word".repeat(500),
];
const LONG = "<b>long</b> ".repeat(90_000); // about a megabyte

let browser: Browser;
beforeAll(async () => {
  browser = await Browser.start();
});
afterAll(() => browser.stop());

/** Replaces every text of an answer that is no date, state or number by one of others, in turn. */
function poisoned(value: unknown, texts: readonly string[]): unknown {
  let turn = 0;
  const poison = (one: unknown, name: string): unknown => {
    if (Array.isArray(one)) return one.map((each) => poison(each, name));
    if (typeof one === "object" && one !== null) {
      return Object.fromEntries(Object.entries(one).map(([each, v]) => [each, poison(v, each)]));
    }
    if (typeof one !== "string" || KEPT.has(name)) return one;
    return texts[turn++ % texts.length];
  };
  return poison(value, "");
}

/** What chooses what is shown, not what it is called; and dates. */
const KEPT = new Set([
  ...["status", "kind", "recommendation", "role", "measure", "mode", "deployment_status"],
  ...[
    "job_id",
    "version",
    "parent_version",
    "current",
    "example_id",
    "agent",
    "agent_name",
    "a",
    "b",
  ],
  ...["id", "rollout_id", "use_case", "phase", "verdict", "health", "condition", "strategy"],
  ...["trained_at", "deployed_at", "since", "until", "created_at", "updated_at", "training_method"],
]);

async function poison(page: Page, texts: readonly string[]): Promise<void> {
  await page.route(
    /\/(jobs|registry|overview|rollouts|approvals|modelops)(\/|\?|$)/,
    async (route: Route) => {
      const response = await route.fetch();
      const type = response.headers()["content-type"] ?? "";
      const text = await response.text();
      if (type.includes("json")) {
        await route.fulfill({ response, json: poisoned(JSON.parse(text), texts) });
      } else {
        const body = text.replace(
          /^data: (.*)$/gm,
          (_all, data: string) => `data: ${JSON.stringify(poisoned(JSON.parse(data), texts))}`,
        );
        await route.fulfill({ response, body });
      }
    },
  );
}

const SHOWN: [string, string][] = [
  ["overview", "#/overview"],
  ["rollouts", "#/rollouts"],
  ["rollout", `#/rollout/${at.rolled_back_id}`],
  ["approvals", "#/approvals"],
  ["approval", `#/approval/${at.approvals[1] ?? ""}`],
  ["jobs", "#/jobs"],
  ["job", `#/job/${at.trained_id}`],
  ["job-failed", `#/job/${at.failed_id}`],
  ["train", "#/train?agent=code_review"],
  ["evaluate", "#/evaluate?agent=code_review"],
  ["compare", `#/compare/${at.evaluation_id}`],
  ["registry", "#/registry?agent=code_review"],
  ["versions", "#/versions?agent=code_review&a=v1.0.0&b=v1.1.0"],
  ["gguf", `#/gguf/${at.conversion_id}`],
];

test.each(SHOWN)(
  "%s: hostile texts are shown as text, and nothing of them is done",
  async (_name, hash) => {
    const { page, wrong } = await browser.open(at, hash, {
      before: (page) => poison(page, HOSTILE),
    });
    await page.waitForFunction(
      (texts) => texts.some((text) => document.body.textContent.includes(text)),
      HOSTILE.map((text) => text.slice(0, 40)), // what is long is folded
    );
    expect(await page.locator("main img, main script, main iframe, main form").count()).toBe(0);
    expect(await page.locator('main a[href^="javascript:"]').count()).toBe(0);
    expect(await page.title()).not.toBe("pwned");
    expect(await overflow(page)).toBe(0);
    expect(wrong).toEqual([]);
    await close(page);
  },
);

test.each(SHOWN)("%s: names without an end leave the page its width", async (_name, hash) => {
  const endless = "word".repeat(500);
  const { page } = await browser.open(at, hash, { before: (page) => poison(page, [endless]) });
  const start = endless.slice(0, 40); // what is long may be folded
  await page.waitForFunction((text) => document.body.textContent.includes(text), start);
  expect(await overflow(page)).toBe(0);
  await close(page);
});

test("an answer of a megabyte is folded, and shown whole when asked for", async () => {
  const { page, wrong } = await browser.open(at, `#/compare/${at.evaluation_id}`, {
    before: async (opened) => {
      await opened.route(/\/differences/, async (route) => {
        const response = await route.fetch();
        const found = (await response.json()) as { examples: { candidate: object }[] };
        const [example] = found.examples;
        if (example !== undefined) example.candidate = { ...example.candidate, answer: LONG };
        await route.fulfill({ response, json: { ...found, examples: [example] } });
      });
    },
  });
  const answer = page.getByRole("region", { name: "Candidate's answer" }).locator("pre");
  await answer.waitFor();
  expect(((await answer.textContent()) ?? "").length).toBeLessThan(5_000);
  await page.getByRole("button", { name: "Show the whole answers" }).click();
  await expect.poll(async () => (await answer.textContent())?.length).toBe(LONG.length);
  expect(await overflow(page)).toBe(0);
  expect(wrong).toEqual([]);
  await close(page);
});
