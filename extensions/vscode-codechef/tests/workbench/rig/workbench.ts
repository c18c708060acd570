import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { promisify } from "node:util";

import { chromium, type FrameLocator, type Locator, type Page } from "playwright-core";

import { atEnd } from "../../../../tests/rig/endings.js";
import { ARTEFACTS, CHROMIUM } from "../../../../tests/rig/paths.js";
import { freePort } from "../../../../tests/rig/ports.js";
import { answers, Running } from "../../../../tests/rig/processes.js";
import { until } from "../../../../tests/rig/until.js";
import { checkInstalled, CODE_SERVER, WORKBENCH_NODE } from "./paths.js";

const SETTINGS = {
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "telemetry.telemetryLevel": "off",
  "extensions.ignoreRecommendations": true,
  "update.showReleaseNotes": false,
  // What is shown while a turn goes on has to be there at its end.
  "chat.agent.collapseCompletedResponses": false,
};

/** Of a page's address: what tests inside the extension host are told. */
export type Payload = [key: string, value: string][];

export interface WorkbenchOptions {
  /** Built extensions to install. */
  vsixes?: string[];
  settings?: Record<string, unknown>;
  /** Lets the page drive tests inside the extension host; `load` it with their payload. */
  driver?: boolean;
}

/** A real workbench (VS Code in code-server), driven by a real browser. */
export class Workbench {
  private constructor(
    readonly url: string,
    /** The project that stands open in it. */
    readonly folder: string,
    readonly page: Page,
  ) {}

  /** Starts it on an empty folder; it ends with the tests. */
  static async open(options: WorkbenchOptions = {}): Promise<Workbench> {
    checkInstalled();
    const root = await mkdtemp(`${tmpdir()}/workbench-`);
    atEnd(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
    const folder = `${root}/project`;
    await mkdir(`${root}/user/User`, { recursive: true });
    await mkdir(folder);
    const settings = { ...SETTINGS, ...options.settings };
    await writeFile(`${root}/user/User/settings.json`, JSON.stringify(settings));
    const folders = ["--user-data-dir", `${root}/user`, "--extensions-dir", `${root}/extensions`];
    const installed = options.vsixes?.flatMap((vsix) => ["--install-extension", vsix]) ?? [];
    if (installed.length > 0) {
      await promisify(execFile)(WORKBENCH_NODE, [CODE_SERVER, ...folders, ...installed]);
    }
    const port = await freePort();
    Running.start("workbench", WORKBENCH_NODE, [
      CODE_SERVER,
      ...["--auth", "none", "--bind-addr", `127.0.0.1:${port}`],
      ...folders,
      ...["--disable-telemetry", "--disable-update-check", "--disable-workspace-trust"],
      "--disable-getting-started-override",
      ...(options.driver ? ["--vscode-option", "enable-smoke-test-driver"] : []),
      folder,
    ]);
    const url = `http://127.0.0.1:${port}`;
    await until("the workbench's server", () => answers(url));
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
    atEnd(() => browser.close());
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.setDefaultTimeout(60_000);
    return new Workbench(url, folder, page);
  }

  /** Loads the page, anew if it was loaded; returns once the workbench is drawn. */
  async load(payload?: Payload): Promise<void> {
    const asked = new URLSearchParams({ folder: this.folder });
    if (payload !== undefined) asked.set("payload", JSON.stringify(payload));
    await this.page.goto(`${this.url}/?${asked.toString()}`);
    await this.page.locator(".monaco-workbench .statusbar").waitFor({ timeout: 90_000 });
  }

  /** Runs a command by its whole title, as a person does it: also one that is not there yet. */
  async command(title: string): Promise<void> {
    const row = this.page
      .locator(".quick-input-list .monaco-list-row")
      .filter({ hasText: title })
      .first();
    await until(`the command ${title}`, async () => {
      await this.page.keyboard.press("Escape");
      await this.page.keyboard.press("F1");
      const box = this.page.locator(".quick-input-widget input").first();
      try {
        await box.fill(`>${title}`, { timeout: 3000 });
        await row.click({ timeout: 3000 });
      } catch {
        return undefined; // a key that went nowhere, or a command that is not there yet
      }
      return true;
    });
  }

  /** Chooses what has this text from the list that stands open. */
  async pick(text: string | RegExp): Promise<void> {
    const row = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: text });
    await row.first().click();
  }

  /** Types into the box that stands open, and presses Enter. */
  async type(text: string): Promise<void> {
    const box = this.page.locator(".quick-input-widget input").first();
    await box.waitFor();
    await box.fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** A notification that says this. */
  notification(text: string | RegExp): Locator {
    return this.page.locator(".notification-list-item").filter({ hasText: text }).first();
  }

  /** The modal dialog that says this. */
  dialog(text: string | RegExp): Locator {
    return this.page.locator(".monaco-dialog-box").filter({ hasText: text });
  }

  /** The row of a tree of the side bar that has these texts. */
  treeRow(...texts: (string | RegExp)[]): Locator {
    const rows = this.page.locator(".pane-body .monaco-list-row");
    return texts.reduce((found, hasText) => found.filter({ hasText }), rows).first();
  }

  /** The inside of the webview that stands in front. */
  webview(): FrameLocator {
    return this.page
      .frameLocator("iframe.webview.ready >> visible=true")
      .frameLocator("iframe#active-frame");
  }

  /** Asks in the chat, as a person types it. */
  async chat(message: string): Promise<void> {
    await this.command("Chat: Open Chat");
    await this.page.locator(".interactive-input-editor, .chat-editor-container").first().click();
    // The participant of the turn before stands there already.
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.press("Delete");
    await this.page.keyboard.type(message);
    await this.page.keyboard.press("Escape");
    await this.page.keyboard.press("Enter");
  }

  /** Waits until the chat says this. */
  async said(text: string | RegExp): Promise<void> {
    const chat = this.page.locator(".interactive-session");
    await chat.getByText(text).last().waitFor({ timeout: 120_000 });
  }

  /** An answer in the chat that says this. */
  answer(text: string | RegExp): Locator {
    const rows = this.page.locator(".interactive-session .interactive-response");
    return rows.filter({ hasText: text }).first();
  }

  /** Presses what the chat offers as an answer. */
  async followUp(text: string): Promise<void> {
    const offered = this.page.locator(".interactive-input-followups");
    await offered.getByText(text, { exact: true }).click();
  }

  /** Keeps a picture among the artefacts. */
  async picture(name: string): Promise<void> {
    await this.page.screenshot({ path: `${ARTEFACTS}/editor/${name}.png` });
  }
}
