/** One item of the status bar: how we stand to the server, what runs, waits and has failed. */

import * as vscode from "vscode";

import type { Picture } from "./picture.js";
import { kindOf, told } from "./problems.js";
import type { Server } from "./server.js";

/** States of a process in which it does not do its work although it should. */
const UNWELL = ["not_ready", "silent"];

interface Shown {
  text: string;
  tooltip: string;
  command: string;
  alarming: boolean;
}

/** Registers the status bar's item. */
export function registerStatusBar(
  context: vscode.ExtensionContext,
  server: Server,
  picture: Picture,
): void {
  const item = vscode.window.createStatusBarItem(
    "codechef.status",
    vscode.StatusBarAlignment.Left,
    10,
  );
  item.name = "code/chef ModelOps";
  const update = (): void => {
    const { text, tooltip, command, alarming } = shown(server, picture);
    item.text = text;
    item.tooltip = tooltip;
    item.command = command;
    item.backgroundColor = alarming
      ? new vscode.ThemeColor("statusBarItem.warningBackground")
      : undefined;
  };
  update();
  item.show();
  context.subscriptions.push(item, picture.onDidChange(update), server.onDidChangeState(update));
}

/** What the item shows. */
export function shown(server: Server, picture: Picture): Shown {
  const { state } = server;
  switch (state.kind) {
    case "unasked":
      return quiet("$(sync~spin) chef", "Connecting …", "codechef.connect");
    case "failed": {
      const unsigned = kindOf(state.problem) === "unsigned";
      const command = unsigned ? "codechef.signIn" : "codechef.connect";
      const text = unsigned ? "$(account) chef: sign in" : "$(debug-disconnect) chef";
      return quiet(text, told(state.problem), command);
    }
    case "reconnecting":
      return quiet("$(sync~spin) chef", "Waits for the server …", "codechef.connect");
    case "connected":
      return connected(server.url, state.me.name, state.me.role, picture);
  }
}

function quiet(text: string, tooltip: string, command: string): Shown {
  return { text, tooltip, command, alarming: false };
}

function connected(url: string, name: string, role: string, { seen }: Picture): Shown {
  const running = seen?.overview.running_jobs ?? 0;
  const waiting = seen?.overview.pending_approvals ?? 0;
  const unwell = seen?.overview.processes.filter(({ state }) => UNWELL.includes(state)) ?? [];
  const failed = seen?.jobs.filter(({ status }) => status === "failed").length ?? 0;
  const counts = [
    running > 0 ? `$(sync~spin) ${running}` : "",
    waiting > 0 ? `$(bell-dot) ${waiting}` : "",
    unwell.length > 0 ? `$(error) ${unwell.length}` : "",
  ];
  const lines = [
    `${name} (${role}) at ${url}`,
    `${running} jobs run, ${failed} of the newest have failed`,
    `${waiting} approvals wait for an answer`,
    ...unwell.map((process) => `${process.name}: ${process.state} ${process.detail}`.trim()),
  ];
  return {
    text: ["$(beaker) chef", ...counts].filter(Boolean).join(" "),
    tooltip: lines.join("\n"),
    command: waiting > 0 ? "codechef.approvals" : "codechef.openDashboard",
    alarming: unwell.length > 0,
  };
}
