import { type Route, type ToHost, type ToView, VIEWS } from "@codechef/client";
import { randomBytes } from "node:crypto";
import * as vscode from "vscode";

import type { Server } from "../server.js";
import { Bridge } from "./bridge.js";
import { page } from "./page.js";

export const PANEL = "codechef.view";

/** Shows the views in tabs of the editor: one for each view and what it is about. */
export class Views implements vscode.Disposable {
  private readonly panels = new Map<string, vscode.WebviewPanel>();
  private readonly pages = new Map<string, () => void>();
  private readonly listening: vscode.Disposable;

  /** @param folder Holds the extension, with the views in `dist/views`. */
  constructor(
    private readonly folder: vscode.Uri,
    private readonly server: Server,
  ) {
    let before = server.state.kind;
    this.listening = server.onDidChangeState(({ kind }) => {
      // Another server, or another person: what the views show is asked for anew. One that was
      // only away is found again by the views themselves.
      if (kind === "connected" && before !== "reconnecting") {
        for (const load of this.pages.values()) load();
      }
      before = kind;
    });
  }

  /** Shows a view: its tab, if there is one. */
  open(route: Route): void {
    const there = this.panels.get(keyOf(route));
    if (there) {
      there.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      PANEL,
      titleOf(route),
      vscode.ViewColumn.Active,
      {
        retainContextWhenHidden: true,
      },
    );
    this.fill(panel, route);
  }

  /** Brings a tab back that was open when the editor was closed. */
  restore(panel: vscode.WebviewPanel, state: unknown): void {
    const route = isRoute(state) ? state : ({ view: "overview", params: {} } as const);
    if (this.panels.has(keyOf(route))) panel.dispose();
    else this.fill(panel, route);
  }

  dispose(): void {
    this.listening.dispose();
    for (const panel of [...this.panels.values()]) panel.dispose();
  }

  private fill(panel: vscode.WebviewPanel, route: Route): void {
    const { webview } = panel;
    const key = keyOf(route);
    const dist = vscode.Uri.joinPath(this.folder, "dist", "views");
    const bridge = new Bridge({
      baseUrl: () => this.server.url,
      token: () => this.server.token(),
      post: (message: ToView) => void webview.postMessage(message),
    });
    this.panels.set(key, panel);
    panel.iconPath = vscode.Uri.joinPath(this.folder, "media", "codechef.svg");
    webview.options = { enableScripts: true, localResourceRoots: [dist] };
    webview.onDidReceiveMessage((message: ToHost) => this.take(message, route, bridge, webview));
    panel.onDidDispose(() => {
      bridge.dispose();
      this.panels.delete(key);
      this.pages.delete(key);
    });
    const fileOf = (name: string): string =>
      webview.asWebviewUri(vscode.Uri.joinPath(dist, name)).toString();
    const load = (): void => {
      bridge.dispose();
      webview.html = page({
        script: fileOf("views.js"),
        styles: fileOf("views.css"),
        source: webview.cspSource,
        nonce: randomBytes(16).toString("base64url"),
        server: this.server.url,
        title: titleOf(route),
      });
    };
    this.pages.set(key, load);
    load();
  }

  private take(message: ToHost, route: Route, bridge: Bridge, webview: vscode.Webview): void {
    switch (message.type) {
      case "ready":
        void webview.postMessage({ type: "show", ...route } satisfies ToView);
        break;
      case "request":
        void bridge.request(message);
        break;
      case "cancel":
        bridge.cancel(message.id);
        break;
      case "open":
        if (isRoute(message)) this.open({ view: message.view, params: message.params });
        break;
      case "copy":
        void vscode.env.clipboard.writeText(message.text);
        break;
    }
  }
}

/** Registers what brings tabs back after the editor was closed. */
export function registerViews(context: vscode.ExtensionContext, views: Views): void {
  const serializer: vscode.WebviewPanelSerializer = {
    deserializeWebviewPanel: (panel, state: unknown) => {
      views.restore(panel, state);
      return Promise.resolve();
    },
  };
  context.subscriptions.push(vscode.window.registerWebviewPanelSerializer(PANEL, serializer));
}

function keyOf({ view, params }: Route): string {
  return JSON.stringify([view, Object.entries(params).sort()]);
}

/** E.g. `Rollout ro_1`. */
function titleOf({ view, params }: Route): string {
  const name = view === "gguf" ? "GGUF" : view.charAt(0).toUpperCase() + view.slice(1);
  return [name, ...Object.values(params)].join(" ");
}

function isRoute(value: unknown): value is Route {
  if (typeof value !== "object" || value === null) return false;
  if (!("view" in value) || !("params" in value)) return false;
  const { view, params } = value;
  if (!VIEWS.some((one) => one === view) || typeof params !== "object" || params === null) {
    return false;
  }
  return Object.values(params).every((one) => typeof one === "string");
}
