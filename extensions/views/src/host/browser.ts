import type { Route } from "@codechef/client";
import { signal } from "@preact/signals";

import { fromHash, toHash } from "../route.js";
import type { Host, TokenStore } from "./host.js";

const TOKEN_KEY = "codechef.token";

/** The token lives as long as its tab; it is sent in a header alone, never in an address. */
const tokenOfTab: TokenStore = {
  get: () => sessionStorage.getItem(TOKEN_KEY) ?? undefined,
  set: (token) => {
    if (token === undefined) sessionStorage.removeItem(TOKEN_KEY);
    else sessionStorage.setItem(TOKEN_KEY, token);
  },
};

/** The page that the API serves: same origin, routes in the hash. */
export function browserHost(window: Window & typeof globalThis): Host {
  const route = signal<Route>(fromHash(window.location.hash));
  window.addEventListener("hashchange", () => {
    route.value = fromHash(window.location.hash);
  });
  const { document } = window;
  const seen = signal(!document.hidden);
  document.addEventListener("visibilitychange", () => {
    seen.value = !document.hidden;
  });
  return {
    kind: "browser",
    baseUrl: window.location.origin,
    fetch: (request) => window.fetch(request, { credentials: "omit" }),
    route,
    // A browser has six connections to a server, for all its tabs: two followed jobs would take all.
    seen,
    navigate: (to) => {
      window.location.hash = toHash(to);
    },
    // Pages that came without TLS have no clipboard: that fails as one that is forbidden does.
    copy: async (text) => window.navigator.clipboard.writeText(text),
    token: tokenOfTab,
  };
}
