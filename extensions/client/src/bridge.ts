/**
 * What the views say to the place that shows them, and what it answers.
 *
 * A webview of the editor has no network and no token: its `fetch` asks the extension, which sends
 * the request with the token and passes the answer on in pieces. In a browser there is no bridge.
 */

/** What can be shown. */
export const VIEWS = [
  "overview",
  "rollouts",
  "rollout",
  "compare",
  "versions",
  "jobs",
  "job",
  "train",
  "evaluate",
  "registry",
  "approvals",
  "approval",
  "simulator",
  "gguf",
] as const;

export type View = (typeof VIEWS)[number];

/** A view and what it is about, e.g. `{view: "rollout", params: {rollout_id: "ro_1"}}`. */
export interface Route {
  view: View;
  params: Record<string, string>;
}

/** What a view says. */
export type ToHost =
  | { type: "ready" }
  | {
      type: "request";
      /** Chosen by the view; every message of the answer bears it. */
      id: number;
      method: string;
      /** With its query, e.g. `/jobs?limit=5`: see `isPath`. */
      path: string;
      headers: Record<string, string>;
      body: string | null;
    }
  | { type: "cancel"; id: number }
  | ({ type: "open" } & Route)
  | { type: "copy"; text: string };

/** What a view is told. */
export type ToView =
  | { type: "head"; id: number; status: number; headers: Record<string, string> }
  | { type: "chunk"; id: number; data: string }
  | { type: "end"; id: number }
  /** No answer, or one that broke off. */
  | { type: "failed"; id: number }
  | ({ type: "show" } & Route);

/** Whether a request stays on the server: neither another host nor a way out of its paths. */
export function isPath(path: string): boolean {
  if (!path.startsWith("/") || path.startsWith("//") || path.includes("\\")) return false;
  const base = "http://server.invalid";
  const url = URL.parse(path, base);
  return url?.origin === base && url.pathname + url.search === path;
}
