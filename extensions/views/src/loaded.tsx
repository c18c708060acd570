/** Something asked of the server: loading, there, kept while it reconnects, or a problem. */

import {
  type Activity,
  type Api,
  ChefProblem,
  type DescribedFields,
  describedRequests,
  follow,
  type StreamData,
  type StreamPath,
} from "@codechef/client";
import type { JSX } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { useHost, useSeen } from "./context.js";
import { ProblemBox } from "./parts/problem.js";

export interface Resource<T> {
  /** The newest there is; kept while a later one is asked for. */
  value: T | undefined;
  /** Why there is no newer one. */
  problem: ChefProblem | undefined;
  reload: () => void;
}

export interface LoadOptions {
  /** Which of what is done on the server makes this out of date; everything, if left out. */
  when?: (activity: Activity) => boolean;
  /** Also asked for again after so many milliseconds: what changes without anybody's doing. */
  everyMs?: number;
}

/**
 * Asks for something when `key` changes, when the server's activity makes it out of date, and when
 * somebody sees the page again.
 *
 * There is one question at a time: what happens meanwhile leads to one more after it.
 */
export function useLoaded<T>(
  load: (api: Api, signal: AbortSignal) => Promise<T>,
  key: string,
  { when, everyMs }: LoadOptions = {},
): Resource<T> {
  const { api, live } = useHost();
  const seen = useSeen();
  const [state, setState] = useState<{ key: string; value?: T; problem?: ChefProblem }>({ key });
  const asked = useRef<() => void>(() => undefined);
  const latest = useRef({ load, when });
  latest.current = { load, when };

  useEffect(() => {
    if (!seen) return undefined;
    const ended = new AbortController();
    let asking = false;
    let again = false;
    const ask = async (): Promise<void> => {
      if (asking) {
        again = true;
        return;
      }
      asking = true;
      try {
        const value = await latest.current.load(api, ended.signal);
        if (!ended.signal.aborted) setState({ key, value });
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!(error instanceof ChefProblem)) throw error;
        setState((old) => (old.key === key ? { ...old, problem: error } : { key, problem: error }));
      } finally {
        asking = false;
      }
      if (again && !ended.signal.aborted) {
        again = false;
        void ask();
      }
    };
    asked.current = () => void ask();
    void ask();
    const silent = live.listen((activity) => {
      if (activity === undefined || (latest.current.when?.(activity) ?? true)) void ask();
    });
    const timer = everyMs === undefined ? undefined : setInterval(() => void ask(), everyMs);
    return () => {
      ended.abort();
      silent();
      clearInterval(timer);
    };
  }, [api, live, key, everyMs, seen]);

  const reload = useCallback(() => asked.current(), []);
  const current = state.key === key;
  return {
    value: current ? state.value : undefined,
    problem: current ? state.problem : undefined,
    reload,
  };
}

/** What the server's document says of requests; it changes with the server alone. */
export function useDescribed(): Resource<(request: string) => DescribedFields> {
  return useLoaded(describedRequests, "", { when: () => false });
}

/** Two things asked of the server as one: there when both are. */
export function both<A, B>(a: Resource<A>, b: Resource<B>): Resource<[A, B]> {
  return {
    value: a.value === undefined || b.value === undefined ? undefined : [a.value, b.value],
    problem: a.problem ?? b.problem,
    reload: () => {
      a.reload();
      b.reload();
    },
  };
}

/**
 * Follows a stream whose events are each the whole of what it is about; keeps the newest.
 *
 * `isLast` tells the event after which the server has no more to say.
 */
export function useFollowed<P extends StreamPath>(
  stream: P,
  path: Record<string, string>,
  isLast: (data: StreamData<P>) => boolean,
): Resource<StreamData<P>> {
  const { api } = useHost();
  const seen = useSeen();
  const latest = useRef(isLast);
  latest.current = isLast;
  const key = JSON.stringify([stream, path]);
  const [state, setState] = useState<{
    key: string;
    value?: StreamData<P>;
    problem?: ChefProblem;
  }>({ key });
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (!seen) return undefined;
    const ended = new AbortController();
    const run = async (): Promise<void> => {
      const options = { path, signal: ended.signal };
      try {
        for await (const { data } of follow(api, stream, options)) {
          setState({ key, value: data });
          if (latest.current(data)) return;
        }
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!(error instanceof ChefProblem)) throw error;
        setState((old) => (old.key === key ? { ...old, problem: error } : { key, problem: error }));
      }
    };
    void run();
    return () => ended.abort();
  }, [api, key, turn, seen]);

  const reload = useCallback(() => setTurn((one) => one + 1), []);
  const current = state.key === key;
  return {
    value: current ? state.value : undefined,
    problem: current ? state.problem : undefined,
    reload,
  };
}

/** The newest value that there was, also while the next is asked for. */
export function useNewest<T>(value: T | undefined): T | undefined {
  const newest = useRef(value);
  if (value !== undefined) newest.current = value;
  return newest.current;
}

/**
 * Shows what was asked for; until then that it comes, or why it does not.
 *
 * Why there is nothing newer is said above it, but that no server answers: the whole page says so.
 */
export function Loaded<T>({
  of: { value, problem, reload },
  children,
}: {
  of: Resource<T>;
  children: (value: T) => JSX.Element;
}): JSX.Element {
  if (value !== undefined) {
    return (
      <>
        {problem === undefined || problem.status === 0 ? null : (
          <ProblemBox problem={problem} retry={reload} />
        )}
        {children(value)}
      </>
    );
  }
  if (problem !== undefined) return <ProblemBox problem={problem} retry={reload} />;
  return (
    <p class="loading" aria-busy="true">
      Loading …
    </p>
  );
}
