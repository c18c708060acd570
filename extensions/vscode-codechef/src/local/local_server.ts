/** A server of one's own, started and stopped from the editor. */

import { answered, ChefProblem } from "@codechef/client";
import { connect } from "node:net";
import * as vscode from "vscode";

import { Gateway } from "../models/gateway.js";
import { show } from "../problems.js";
import type { Server } from "../server.js";
import { plain } from "../text.js";
import { isHere } from "../travelling.js";
import { type Chef, makeMissing } from "./credentials.js";
import { find, Running } from "./program.js";

const LOOK_MS = 300;
const READY_MS = 120_000;
const STOP_MS = 40_000;

/** Why nothing is started, with the command that helps. */
interface Obstacle {
  message: string;
  /** Whether all is well without. */
  well?: boolean;
  help?: { title: string; command: string; given?: unknown };
}

export class LocalServer implements vscode.Disposable {
  private running: Running | undefined;
  private starting: Promise<boolean> | undefined;
  private stopping = false;
  /** The gateway's key, until the address is known that it is kept for. */
  private key: string | undefined;

  constructor(
    private readonly server: Server,
    private readonly gateway: Gateway,
    readonly log: vscode.OutputChannel,
  ) {}

  /**
   * Starts `chef serve` and signs in; true when it is ready. What is missing is told.
   *
   * Asked for twice it is started once.
   */
  start(): Promise<boolean> {
    this.starting ??= this.begin().finally(() => (this.starting = undefined));
    return this.starting;
  }

  private async begin(): Promise<boolean> {
    if (this.running) {
      this.log.show(true);
      return true;
    }
    const chef = await this.prepared();
    if ("message" in chef) {
      void tell(chef);
      return false;
    }
    const signedIn = (await this.server.token()) !== undefined;
    const made = await makeMissing(chef, signedIn);
    if (made === undefined) return false;
    // Made once and told once: it is kept also where the server then does not come up.
    if (made.token !== undefined) await this.server.keep(made.token);
    this.key ??= made.key;
    if (!(await this.serve(chef))) return false;
    await this.server.connect();
    this.server.start();
    await this.keepKey();
    return true;
  }

  /** Stops the server, if it was started here. */
  async stop(): Promise<void> {
    if (this.running === undefined) return;
    this.stopping = true;
    this.server.leave();
    await this.running.stop(STOP_MS);
    this.stopping = false;
    this.server.start();
  }

  dispose(): Promise<void> {
    return this.stop();
  }

  /** Returns what to run and where, or why nothing is to be started. */
  private async prepared(): Promise<Chef | Obstacle> {
    if (!vscode.workspace.isTrusted) {
      return {
        message:
          "A local server runs with the workspace's configuration: trust the workspace first.",
        help: { title: "Manage Trust", command: "workbench.trust.manage" },
      };
    }
    const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file");
    if (folder === undefined) {
      return {
        message: "A local server keeps its state in a folder: open the one of your project.",
        help: { title: "Open Folder", command: "workbench.action.files.openFolder" },
      };
    }
    return (await this.addressTaken()) ?? this.found(folder.uri.fsPath);
  }

  private async found(folder: string): Promise<Chef | Obstacle> {
    const setting = vscode.workspace.getConfiguration("codechef").get<string>("command", "");
    const { command, looked } = await find(setting, folder);
    if (command !== undefined) return { command, folder };
    const where = setting.trim() === "" ? `${looked[0] ?? ""} and on the PATH` : (looked[0] ?? "");
    return {
      message:
        `There is no chef program: looked at ${where}. ` +
        "Install code/chef into the folder's .venv (make setup), or name the program.",
      help: {
        title: "Name the Program",
        command: "workbench.action.openSettings",
        given: "codechef.command",
      },
    };
  }

  /** Returns why no server can be started at the address of the settings; undefined when one can. */
  private async addressTaken(): Promise<Obstacle | undefined> {
    const { url } = this.server;
    const help = { title: "Set Address", command: "codechef.setAddress" };
    if (!URL.canParse(url) || !isHere(url)) {
      return { message: `${url} is not an address of this machine.`, help };
    }
    if (!(await listens(new URL(url)))) return undefined;
    try {
      await this.server.connect();
      return { message: `A server runs at ${url} already.`, well: true };
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      if (error.status === 401) {
        const signIn = { title: "Sign In", command: "codechef.signIn" };
        return { message: `A server runs at ${url} already; it asks who you are.`, help: signIn };
      }
      return { message: `Something else listens at ${url}: ${error.message}`, help };
    }
  }

  /** Starts the program and waits until it is ready; true when it is. */
  private async serve({ command, folder }: Chef): Promise<boolean> {
    const settings = vscode.workspace.getConfiguration("codechef");
    const port = new URL(this.server.url).port || "80";
    const given = ["serve", ...settings.get<string[]>("serveArguments", []), "--api-port", port];
    this.log.appendLine(`> ${[command, ...given].join(" ")}    (in ${folder})`);
    const running = new Running(command, given, folder, (text) => this.log.append(text));
    this.running = running;
    void setContext(true);
    void running.ended.then((code) => this.over(running, code));
    const options = {
      location: vscode.ProgressLocation.Notification,
      title: "code/chef: the local server starts",
      cancellable: true,
    };
    return vscode.window.withProgress(options, async (_progress, token) => {
      token.onCancellationRequested(() => void this.stop());
      return this.becomesReady(running);
    });
  }

  private async becomesReady(running: Running): Promise<boolean> {
    const deadline = Date.now() + READY_MS;
    while (!running.hasEnded && Date.now() < deadline) {
      try {
        const { status } = await answered(this.server.api.GET("/ready"));
        if (status === "ready") return true;
      } catch (error) {
        if (!(error instanceof ChefProblem)) throw error; // not yet
      }
      await Promise.race([running.ended, new Promise((done) => setTimeout(done, LOOK_MS))]);
    }
    if (!running.hasEnded)
      void tell(this.ending("The local server is not ready after two minutes", running));
    return false;
  }

  /** The program has ended: by us, or by itself, which is told with its last words. */
  private over(running: Running, code: number | null): void {
    this.running = undefined;
    void setContext(false);
    this.log.appendLine(`> ended (${code ?? "by a signal"})`);
    if (!this.stopping) void tell(this.ending("The local server has ended", running));
  }

  private ending(what: string, { lastLines }: Running): Obstacle {
    const words = lastLines.slice(-3).join(" ");
    const help = { title: "Show Log", command: "codechef.showServerLog" };
    return { message: [what, words].filter(Boolean).join(": "), help };
  }

  /** Keeps the gateway's key for the address that the server names. */
  private async keepKey(): Promise<void> {
    if (this.key === undefined) return;
    const { base_url: url } = await answered(this.server.api.GET("/gateway"));
    if (url === null) return; // not yet: at the next start
    await this.gateway.keep(url, this.key);
    this.key = undefined;
  }
}

/** Registers the commands of the local server. */
export function registerLocalServer(context: vscode.ExtensionContext, server: Server): LocalServer {
  const log = vscode.window.createOutputChannel("code/chef Local Server");
  const local = new LocalServer(server, new Gateway(server, context.secrets), log);
  const { registerCommand } = vscode.commands;
  context.subscriptions.push(
    log,
    registerCommand("codechef.startLocalServer", async () => {
      try {
        return await local.start();
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (error instanceof ChefProblem) {
          await show(error);
          return false;
        }
        // `chef` itself could not be run, or would not: its words say why.
        await tell({ message: `The local server cannot be started: ${error.message}` });
        return false;
      }
    }),
    registerCommand("codechef.stopLocalServer", () => local.stop()),
    registerCommand("codechef.showServerLog", () => log.show()),
  );
  return local;
}

async function tell({ message, well, help }: Obstacle): Promise<void> {
  const { showErrorMessage, showInformationMessage } = vscode.window;
  const titles = help ? [help.title] : [];
  const picked = await (well ? showInformationMessage : showErrorMessage)(
    plain(message),
    ...titles,
  );
  if (help && picked) await vscode.commands.executeCommand(help.command, help.given);
}

function setContext(running: boolean): Thenable<unknown> {
  return vscode.commands.executeCommand("setContext", "codechef.localServer", running);
}

/** Whether anything accepts connections at an address. */
function listens({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[|\]$/g, "");
    const socket = connect({ host, port: Number(port || "80") });
    const done = (answer: boolean) => (): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once("connect", done(true)).once("error", done(false));
  });
}
