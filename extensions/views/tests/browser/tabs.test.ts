/** Many tabs of one browser, which has six connections to the server for all of them. */

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, test } from "vitest";

import { Browser, close } from "./browser.js";

const at = inject("installation");

let browser: Browser;
beforeAll(async () => {
  browser = await Browser.start();
});
afterAll(() => browser.stop());

/** Puts a tab behind others, or before them: a browser without a screen shows them all. */
async function put(page: Page, hidden: boolean): Promise<void> {
  await page.evaluate((value) => {
    Object.defineProperty(document, "hidden", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
}

const running = (page: Page): Promise<void> =>
  page.locator(".badge").getByText("running", { exact: true }).first().waitFor();

test("a job is followed in one tab of many, and goes on to be in the one that is turned to", async () => {
  const { page, wrong } = await browser.open(at, `#/job/${at.running_id}`);
  await running(page);
  let last = page;
  for (let tabs = 1; tabs < 6; tabs++) {
    await put(last, true);
    const opened = page.context().waitForEvent("page");
    await page.evaluate(() => void window.open(location.href));
    last = await opened;
    await running(last);
  }
  await put(last, true);
  const followed = page.waitForResponse(/\/activity\/events$/);
  await put(page, false);
  expect((await followed).status()).toBe(200);
  expect(wrong).toEqual([]);
  await close(page);
});
