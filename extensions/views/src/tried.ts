/** Asked dry, while somebody fills in a form. */

import type { Api } from "@codechef/client";
import { useEffect, useRef, useState } from "preact/hooks";

import { useHost, useSeen } from "./context.js";

/** So long after the last key that was pressed. */
const PAUSE_MS = 250;

export interface Answered<T> {
  /** The last answer; undefined before the first. */
  value: T | undefined;
  /** Whether it is the answer to what the form says now. */
  current: boolean;
  again: () => void;
}

/** Asks anew when `key` changes, when what it may depend on was changed on the server, and when seen again. */
export function useTried<T>(ask: (api: Api) => Promise<T>, key: string): Answered<T> {
  const { api, live } = useHost();
  const seen = useSeen();
  const [state, setState] = useState<{ key: string; value: T }>();
  const [turn, setTurn] = useState(0);
  const latest = useRef(ask);
  latest.current = ask;
  const again = (): void => setTurn((one) => one + 1);

  useEffect(() => {
    if (!seen) return undefined;
    let left = false;
    const run = async (): Promise<void> => {
      const value = await latest.current(api);
      if (!left) setState({ key, value });
    };
    const timer = setTimeout(() => void run(), state === undefined ? 0 : PAUSE_MS);
    return () => {
      left = true;
      clearTimeout(timer);
    };
  }, [api, key, turn, seen]);
  useEffect(() => live.listen(again), [live]);

  return { value: state?.value, current: state?.key === key, again };
}
