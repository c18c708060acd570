/**
 * The journeys of people who have no editor, as in `vscode-codechef/tests/workbench/journeys`: one
 * installation whose training is real, and each journey begins where the one before it ended.
 */

import { resume, send } from "@codechef/client";
import type { Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

import { done } from "../../../tests/rig/deeds.js";
import { Ground } from "../../../tests/rig/ground.js";
import { ARTEFACTS } from "../../../tests/rig/paths.js";
import { Browser, close, faults, type Opened } from "./browser.js";

const AGENT = "feature_dev";
/** What a job, and a journey with one, may take on a busy machine. */
const JOB = { timeout: 180_000 };

let ground: Ground;
let browser: Browser;
const opened: Opened[] = [];
beforeAll(async () => {
  [ground, browser] = await Promise.all([Ground.make(), Browser.start()]);
  await ground.serve();
}, 180_000);
afterEach(async ({ task }) => {
  const pages = opened.splice(0);
  if (task.result?.state === "fail") {
    for (const [at, { page }] of pages.entries()) await picture(page, `failed-${at}`);
  }
  for (const { page } of pages) await close(page);
});
afterAll(async () => {
  await browser.stop();
});

/** Opens a view as one of the people. */
async function visit(person: keyof Ground["ready"]["tokens"], hash: string): Promise<Page> {
  const one = await browser.open(ground, hash, { token: ground.ready.tokens[person] });
  opened.push(one);
  one.page.setDefaultTimeout(60_000);
  return one.page;
}

/** What should not have happened on any page. */
const wrong = (): string[] => opened.flatMap((one) => one.wrong);

/** Keeps a picture among the artefacts. */
async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `${ARTEFACTS}/page/${name}.png`, fullPage: true });
}

const title = (page: Page, name: string): Locator =>
  page.getByRole("heading", { level: 1, name, exact: true });

/** Goes to a view by the navigation. */
async function go(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation").getByRole("link", { name }).click();
  await title(page, name).waitFor();
}

/** A fact of a job, e.g. its loss. */
const fact = (page: Page, name: string): Locator =>
  page.locator(".facts dt").getByText(name, { exact: true });

/** The badge that says how something stands. */
const state = (page: Page, name: string): Locator =>
  page.locator(".badge").getByText(name, { exact: true }).first();

/** The agent's row in the overview. */
const row = (page: Page): Locator => page.getByRole("row", { name: new RegExp(`^${AGENT}`) });

test("a canary is watched, in a page that stays open, until it is rolled back by itself", async () => {
  await done(ground, "deploy_model_to_agent", {
    agent: AGENT,
    model: ground.ready.bad_model,
    strategy: "canary",
    override_reason: "To see it rolled back.",
  });
  const page = await visit("victor", "#/overview");
  await page
    .getByRole("article")
    .getByRole("link", { name: /canary/ })
    .click();
  await title(page, "Rollout").waitFor();
  await page.evaluate(() => Object.assign(window, { stays: true }));
  await picture(page, "canary-running");
  const ended = state(page, "rolled back");
  for (let number = 0; (await ended.count()) === 0; number += 1) {
    expect(await ground.work(number)).toBe(200); // whoever met the candidate was served too
    expect(number).toBeLessThan(10_000);
  }
  expect(await page.evaluate(() => "stays" in window)).toBe(true);
  await picture(page, "canary-rolled-back");
  await go(page, "Overview");
  await row(page).getByText("all to one").waitFor();
  expect(wrong()).toEqual([]);
});

test("a training goes from the overview, by keys, priced in both modes, to a new version there", async () => {
  const page = await visit("ada", "#/overview");
  const link = page.getByRole("link", { name: `Train a model for ${AGENT}` });
  await link.focus();
  await page.keyboard.press("Enter");
  await title(page, "Train a model").waitFor();
  await page.getByText(`There is no data set for ${AGENT}.`).waitFor();
  await page.getByRole("button", { name: "Build a data set" }).click();
  const dialog = page.getByRole("dialog", { name: "Build a data set" });
  await dialog.getByLabel("source").fill(ground.ready.examples);
  await dialog
    .getByText(/examples? for feature_dev|feature_dev/)
    .first()
    .waitFor();
  await picture(page, "train-data");
  await dialog.getByRole("button", { name: "Build a data set" }).click();
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("radio", { name: /^demo \$\d/ }).waitFor();
  await page.getByRole("radio", { name: /^production \$\d/ }).waitFor();
  await page.getByText("Hyperparameters", { exact: true }).click();
  const train = page.getByRole("button", { name: "Train", exact: true });

  await page.getByLabel("learning rate").fill("-1");
  await page.getByText("Input should be greater than 0 (got -1)").waitFor();
  expect(await train.isDisabled()).toBe(true);
  expect(await faults(page)).toEqual([]);
  await picture(page, "train-refused");
  await page.getByLabel("learning rate").fill("0.005");
  await page.getByLabel("num epochs").fill("240"); // long enough to see how much is left
  await page.getByLabel("batch size", { exact: true }).fill("8");
  await expect.poll(() => train.isEnabled()).toBe(true);
  await picture(page, "train-priced");
  await train.press("Enter");

  await title(page, "Job").waitFor();
  await fact(page, "Loss").waitFor(JOB);
  await fact(page, "Left").waitFor(JOB);
  await picture(page, "train-progress");
  await state(page, "completed").waitFor(JOB);
  await page.locator(".plot canvas").waitFor();
  await page.getByRole("link", { name: "Evaluate v1.0.0" }).waitFor();
  await picture(page, "train-completed");
  await go(page, "Overview");
  await row(page).getByText("v1.0.0").waitFor();
  await picture(page, "train-overview");
  expect(wrong()).toEqual([]);
});

test("a version is evaluated, compared and put over an approval before a part of the traffic", async () => {
  const page = await visit("grace", "#/overview");
  await page.getByRole("link", { name: `Evaluate a model of ${AGENT}` }).click();
  await page.getByText(/^Evaluate v1\.0\.0 .*held-out examples/).waitFor();
  await picture(page, "evaluate-priced");
  await page.getByRole("button", { name: "Evaluate", exact: true }).click();
  await title(page, "Job").waitFor();
  await page.getByRole("link", { name: "Compare the models" }).click(JOB);
  await page.getByRole("row", { name: /^accuracy/ }).waitFor();
  await page.locator(".example").first().waitFor();
  await picture(page, "comparison");

  await page.getByRole("button", { name: "Deploy v1.0.0" }).click();
  const dialog = page.getByRole("dialog", { name: "Deploy v1.0.0" });
  await dialog.getByRole("combobox", { name: "Strategy" }).selectOption("canary");
  await dialog.getByRole("button", { name: "Ask for approval" }).click();
  await dialog.getByRole("link", { name: "Open the approval" }).click();
  await page.getByRole("button", { name: "Approve" }).click();
  await picture(page, "deployment-approved");
  await page.getByRole("button", { name: "Carry it out" }).click();

  await title(page, "Rollout").waitFor();
  const realised = page.getByLabel(/^Split as realised: .*candidate [1-9]/);
  for (let number = 0; (await realised.count()) === 0; number += 1) {
    expect(await ground.work(number)).toBe(200);
    expect(number).toBeLessThan(1000);
  }
  await picture(page, "deployment-split");
  expect(wrong()).toEqual([]);
});

test("what one asks for in the chat waits on another's page, is approved there, and runs to its end", async () => {
  const page = await visit("bob", "#/overview");
  await page.getByText("Who serves whom").waitFor();
  const ada = ground.as("ada");
  const base = ground.ready.hub_base;
  let thread: string | undefined;
  const say = async (message: string): Promise<void> => {
    for await (const event of send(ada, message, thread)) {
      if (event.type === "thread") thread = event.thread_id;
    }
  };
  await say(`Train ${AGENT} on HF Jobs, base model ${base}, with 60 epochs, batch size 8, demo`);
  await say("yes");
  const waits = page.getByRole("region", { name: "Waiting for you: 1" });
  await waits.waitFor();
  await picture(page, "chat-approval-arrives");
  await waits.getByRole("link").click();
  await title(page, "Approval").waitFor();
  const approvalId = page.url().split("/").at(-1) ?? "";
  await page.getByLabel("Reason").fill("Within the budget.");
  await page.getByRole("button", { name: "Approve" }).click();
  await state(page, "approved").waitFor();
  await picture(page, "chat-approved");

  await go(page, "Overview");
  // The chat that ada has open hears of the answer and goes on; it tells of the job to its end.
  const goesOn = (async () => {
    for await (const { type } of resume(ada, thread ?? "", approvalId)) if (type === "end") return;
  })();
  await page.getByRole("link", { name: `training of ${AGENT}` }).click();
  await state(page, "running").waitFor();
  await picture(page, "chat-job-running");
  await state(page, "completed").waitFor(JOB);
  await picture(page, "chat-job-completed");
  await goesOn;
  expect(wrong()).toEqual([]);
});

test("a wrong token and a server that is down are told, each with what helps; mended, the view comes", async () => {
  const one = await browser.open(ground, "#/jobs", { token: "of-nobody" });
  opened.push(one);
  const { page } = one;
  await page.getByRole("heading", { name: "Sign in to code/chef" }).waitFor();
  expect(await page.getByRole("alert").textContent()).toContain("nobody's");
  expect(await faults(page)).toEqual([]);
  expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
  await picture(page, "wrong-token");
  await ground.interrupt("SIGKILL");
  const token = ground.ready.tokens.victor;
  await page.getByLabel("Access token").fill(token);
  await page.keyboard.press("Enter");
  const told = page.getByRole("alert").getByText(`No server answers at ${ground.url}`);
  await told.waitFor();
  expect(await faults(page)).toEqual([]);
  await picture(page, "server-down");
  await ground.serve();
  await title(page, "Jobs").waitFor();
  expect(page.url()).not.toContain(token);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Access token").waitFor();
  expect(wrong()).toEqual([]);
});

test("a server that is killed leaves a form and a list as they are, and both go on when it is back", async () => {
  const list = await visit("victor", "#/jobs");
  const jobs = list.getByRole("row", { name: /^job_/ });
  await jobs.first().waitFor();
  const page = await visit("grace", `#/train?agent=${AGENT}`);
  const price = page.getByRole("radio", { name: /^demo \$\d/ });
  await price.waitFor();
  await page.getByText("Hyperparameters", { exact: true }).click();
  const epochs = page.getByLabel("num epochs");
  await epochs.fill("7");
  await ground.interrupt("SIGKILL");
  const lost = "The server does not answer. Reconnecting …";
  for (const each of [page, list]) await each.getByText(lost).waitFor();
  await epochs.fill("8");
  await page.getByText(`No server answers at ${ground.url}`).first().waitFor();
  expect(await page.getByRole("button", { name: "Train", exact: true }).isDisabled()).toBe(true);
  expect(await jobs.count()).toBeGreaterThan(0);
  await picture(page, "server-gone");

  await ground.serve();
  for (const each of [page, list]) await each.getByText(lost).waitFor({ state: "detached" });
  await price.waitFor();
  expect(await epochs.inputValue()).toBe("8");
  await expect.poll(() => page.getByRole("alert").count()).toBe(0);
  expect(await jobs.count()).toBeGreaterThan(0);
  await picture(page, "server-back");
  expect(wrong()).toEqual([]);
});
