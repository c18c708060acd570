/** What people do on the page, by a server of this file's own, for it changes. */

import { afterAll, beforeAll, expect, test } from "vitest";

import { type Installation, type Pictured, startPictured } from "../../../tests/rig/pictured.js";
import { Browser, close, faults } from "./browser.js";

let browser: Browser;
let at: Installation;
let server: Pictured;
beforeAll(async () => {
  browser = await Browser.start();
  server = await startPictured();
  at = server.installation;
});
afterAll(async () => {
  await browser.stop();
  await server.stop();
});

const BY_ROLE = { olga: "operator", ada: "admin" } as const;

test("an approval that one asked for waits for another, who approves; it is carried out, and seen at once", async () => {
  const [, deployment = ""] = at.approvals;
  const asked = await browser.open(at, `#/approval/${deployment}`, { role: BY_ROLE.olga });
  await asked.page.getByRole("button", { name: "Take it back" }).waitFor();
  expect(await asked.page.getByRole("button", { name: "Approve" }).count()).toBe(0);
  const watched = await browser.open(at, "#/overview", { role: "viewer" });
  await watched.page.getByText("Who serves whom").waitFor();
  const split = watched.page
    .getByRole("row", { name: /documentation/ })
    .getByLabel("Split as asked: stable 80 %, candidate 20 %");
  expect(await split.count()).toBe(0);

  const { page, wrong } = await browser.open(at, `#/approval/${deployment}`, { role: BY_ROLE.ada });
  await page.getByLabel("Reason").fill("<b>Go</b>");
  await page.getByRole("button", { name: "Approve" }).click();
  await page.getByRole("button", { name: "Carry it out" }).click();
  await page.getByRole("heading", { level: 1, name: "Rollout" }).waitFor();
  await asked.page.getByText("carried out", { exact: false }).last().waitFor();
  await asked.page.getByText("<b>Go</b>").waitFor();
  await split.waitFor();
  expect([...wrong, ...asked.wrong, ...watched.wrong]).toEqual([]);
  for (const one of [page, asked.page, watched.page]) await close(one);
});

test("rolling back by keys: what changes is named, asked for, and waits for an approver", async () => {
  const { page, wrong } = await browser.open(at, `#/rollout/${at.rollout_id}`, {
    role: BY_ROLE.olga,
  });
  const button = page.getByRole("button", { name: "Roll back" });
  await button.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Roll back" });
  await dialog.getByText(/acme\/feature_dev/).waitFor();
  expect(await faults(page)).toEqual([]);
  await page.keyboard.press("Escape");
  await expect.poll(() => button.evaluate((node) => node === document.activeElement)).toBe(true);
  await page.keyboard.press("Enter");
  await dialog.getByRole("button", { name: "Ask for approval" }).click();
  await dialog.getByRole("link", { name: "Open the approval" }).click();
  await page.getByRole("heading", { level: 1, name: "Approval" }).waitFor();
  await page.getByRole("button", { name: "Take it back" }).click();
  await page.getByText("cancelled").first().waitFor();
  expect(wrong).toEqual([]);
  await close(page);
});

test("a canary is simulated with what is assumed", async () => {
  const { page, wrong } = await browser.open(at, "#/simulator", { role: "viewer" });
  await page.locator(".plot canvas").last().waitFor();
  const rolledBack = page.locator(".tiles dd").first();
  const before = await rolledBack.textContent();
  await page.getByLabel("candidate rate").fill("0.5");
  await page.keyboard.press("Enter");
  await expect.poll(() => rolledBack.textContent()).not.toBe(before);
  await page.getByLabel("candidate rate").fill("7");
  await page.keyboard.press("Enter");
  expect(await page.getByRole("alert").textContent()).toContain("candidate_rate");
  expect(wrong).toEqual([]);
  await close(page);
});
