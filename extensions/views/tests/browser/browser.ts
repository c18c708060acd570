/** A real browser that looks at the page, and notes what should not happen there. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import type { Me } from "@codechef/client";
import type { AxeResults } from "axe-core";
import { type Browser as Chromium, chromium, type Page } from "playwright-core";

import { CHROMIUM } from "../../../tests/rig/paths.js";
import type { Installation } from "../../../tests/rig/pictured.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export interface OpenOptions {
  role?: Me["role"];
  /** Instead of that of a role. */
  token?: string;
  scheme?: "light" | "dark";
  width?: number;
  height?: number;
  /** Called before the page is asked for, e.g. to change what the server answers. */
  before?: (page: Page) => Promise<void>;
}

/** A server to look at; who signs in by a role needs the tokens. */
export type Place = Pick<Installation, "url"> & Partial<Pick<Installation, "tokens">>;

/** A page that is open, and what went wrong on it so far. */
export interface Opened {
  page: Page;
  /** Violations of the content security policy, errors, dialogs, requests to elsewhere. */
  wrong: string[];
}

export class Browser {
  private constructor(private readonly chromium: Chromium) {}

  static async start(): Promise<Browser> {
    const arguments_ = ["--no-sandbox"];
    return new Browser(await chromium.launch({ executablePath: CHROMIUM, args: arguments_ }));
  }

  async stop(): Promise<void> {
    await this.chromium.close();
  }

  /** Opens a view, e.g. `#/jobs`, as somebody who has signed in. */
  async open(at: Place, hash: string, options: OpenOptions = {}): Promise<Opened> {
    const {
      role = "admin",
      token = at.tokens?.[role] ?? "",
      scheme = "light",
      width = 1200,
      height = 800,
      before,
    } = options;
    const context = await this.chromium.newContext({
      colorScheme: scheme,
      viewport: { width, height },
      reducedMotion: "reduce",
    });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    const wrong: string[] = [];
    page.on("pageerror", (error) => wrong.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      wrong.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      if (message.type() === "error" && /Content Security|Refused/.test(message.text())) {
        wrong.push(message.text());
      }
    });
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(at.url) && !url.startsWith("data:")) wrong.push(`asked: ${url}`);
    });
    await page.goto(`${at.url}/health`); // a place to keep the token for, without the page
    await page.evaluate((one) => {
      sessionStorage.setItem("codechef.token", one);
    }, token);
    await before?.(page);
    await page.goto(`${at.url}/${hash}`);
    await page.locator("main h1").waitFor();
    return { page, wrong };
  }
}

/** Leaves a page; what it still waits for is nobody's any more. */
export async function close(page: Page): Promise<void> {
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.context().close();
}

/** Faults of accessibility that shut somebody out: none should be left. */
export async function faults(page: Page): Promise<string[]> {
  await page.evaluate(AXE); // not as a script of the page, which its policy would not run
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: { run: () => Promise<AxeResults> } }).axe.run(),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ""}`),
    );
}

/** How far the page is wider than its window, in CSS pixels. */
export async function overflow(page: Page): Promise<number> {
  return page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth - clientWidth;
  });
}
