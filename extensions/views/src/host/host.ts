/** Where the views are shown: a page of the browser, or a webview of the editor. */

import type { Fetch, Route } from "@codechef/client";
import type { ReadonlySignal } from "@preact/signals";

export interface Host {
  kind: "browser" | "editor";
  /** Address of the API, for messages; requests go through `fetch`. */
  baseUrl: string;
  fetch: Fetch;
  /** What is to be shown; undefined until the editor has said it. */
  route: ReadonlySignal<Route | undefined>;
  /** Whether anybody can see it. What nobody sees asks for nothing and follows nothing. */
  seen: ReadonlySignal<boolean>;
  /** Shows another view: here in the browser, beside this one in the editor. */
  navigate: (route: Route) => void;
  copy: (text: string) => Promise<void>;
  /** The access token, where this host keeps one: the editor does, and sends it itself. */
  token?: TokenStore;
}

export interface TokenStore {
  get: () => string | undefined;
  set: (token: string | undefined) => void;
}
