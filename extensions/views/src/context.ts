/** What every view is given. */

import type { Api, Me, Route } from "@codechef/client";
import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { Host } from "./host/host.js";
import type { Live } from "./live.js";

export interface Shown {
  api: Api;
  /** Who looks. */
  me: Me;
  host: Host;
  live: Live;
  /** What this view is about. */
  params: Record<string, string>;
  navigate: (route: Route) => void;
}

export const ShownContext = createContext<Shown | undefined>(undefined);

/** Only in what the app shows. */
export function useHost(): Shown {
  const shown = useContext(ShownContext);
  if (shown === undefined) throw new Error("This is shown outside the app.");
  return shown;
}

/** Whether anybody can see the page. */
export function useSeen(): boolean {
  return useHost().host.seen.value;
}

/** Whether the looker's role allows the action; the server has the last word. */
export function useMay(action: Me["may"][number]): boolean {
  return useHost().me.may.includes(action);
}
