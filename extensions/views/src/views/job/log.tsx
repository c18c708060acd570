/** A job's log: its newest lines as they come, or all of it from the beginning, a page at a time. */

import {
  answered,
  type Api,
  ChefProblem,
  follow,
  type FollowOptions,
  type JobLog,
} from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useHost, useSeen } from "../../context.js";
import { number } from "../../format.js";
import { Loaded, type LoadOptions, useLoaded, useNewest } from "../../loaded.js";
import { Pager, ProblemBox } from "../../parts/index.js";

const PAGE = 500;
/** Lines that stay on the page while the log is followed. */
const KEPT = 2_000;
const LOOK_MS = 3_000;

interface LogGiven {
  jobId: string;
  /** Whether the job has ended: then nothing more comes. */
  over: boolean;
}

export function Log({ jobId, over }: LogGiven): JSX.Element {
  const [mode, setMode] = useState<"newest" | "all">("newest");
  return (
    <section>
      <h2>Log</h2>
      <div class="actions" role="group" aria-label="What to show of the log">
        {(["newest", "all"] as const).map((one) => (
          <button key={one} type="button" aria-pressed={mode === one} onClick={() => setMode(one)}>
            {one === "newest" ? "Newest lines" : "From the beginning"}
          </button>
        ))}
      </div>
      {mode === "newest" ? (
        <Newest jobId={jobId} over={over} />
      ) : (
        <Pages jobId={jobId} over={over} />
      )}
    </section>
  );
}

const read = (api: Api, jobId: string, query: object, signal: AbortSignal): Promise<JobLog> =>
  answered(api.GET("/jobs/{job_id}/log", { params: { path: { job_id: jobId }, query }, signal }));

/** What grows as long as its job has not ended. */
const growing = (over: boolean): LoadOptions => ({
  when: () => false,
  ...(over ? {} : { everyMs: LOOK_MS }),
});

/** The last lines, then those that come. */
function Newest({ jobId, over }: LogGiven): JSX.Element {
  const { api } = useHost();
  const seen = useSeen();
  const [log, setLog] = useState<JobLog>();
  const [problem, setProblem] = useState<ChefProblem>();
  const [turn, setTurn] = useState(0);
  const isOver = useRef(over);
  useEffect(() => {
    const resumed = isOver.current && !over;
    isOver.current = over;
    if (resumed) setTurn((one) => one + 1); // it writes on
  }, [over]);
  useEffect(() => {
    if (!seen) return undefined;
    const ended = new AbortController();
    const run = async (): Promise<void> => {
      try {
        for await (const shown of newest(api, jobId, () => isOver.current, ended)) setLog(shown);
      } catch (error) {
        if (ended.signal.aborted) return;
        if (!(error instanceof ChefProblem)) throw error;
        setProblem(error);
      }
    };
    setProblem(undefined);
    void run();
    return () => ended.abort();
  }, [api, jobId, turn, seen]);
  if (problem !== undefined) {
    return <ProblemBox problem={problem} retry={() => setTurn(turn + 1)} />;
  }
  if (log === undefined) return <p class="loading">Loading …</p>;
  return log.end === null ? <Last jobId={jobId} over={over} /> : <Lines lines={log.lines} follow />;
}

async function* newest(
  api: Api,
  jobId: string,
  isOver: () => boolean,
  ended: AbortController,
): AsyncGenerator<JobLog, void, undefined> {
  const { signal } = ended;
  const first = await read(api, jobId, { tail: PAGE }, signal);
  yield first;
  if (isOver() || first.end === null) return;
  const onState: FollowOptions["onState"] = (state, why) => {
    // The server ends the stream of a job that has ended; any other is taken up again.
    if (state === "reconnecting" && why === undefined && isOver()) ended.abort();
  };
  const options = { path: { job_id: jobId }, lastEventId: String(first.end), signal, onState };
  let { lines } = first;
  for await (const { data } of follow(api, "/jobs/{job_id}/log/events", options)) {
    lines = [...lines, ...data.lines].slice(-KEPT);
    yield { lines, end: data.end };
  }
}

/** The last lines, again and again, of a log that cannot be followed: its job runs elsewhere. */
function Last({ jobId, over }: LogGiven): JSX.Element {
  const log = useLoaded(
    (api, signal) => read(api, jobId, { tail: PAGE }, signal),
    jobId,
    growing(over),
  );
  return <Loaded of={log}>{({ lines }) => <Lines lines={lines} follow />}</Loaded>;
}

/** All lines from the first on; the way back is remembered. */
function Pages({ jobId, over }: LogGiven): JSX.Element {
  const [starts, setStarts] = useState([0]);
  const after = starts[starts.length - 1] ?? 0;
  const page = useLoaded(
    (api, signal) => read(api, jobId, { tail: PAGE, after }, signal),
    `${jobId} ${after}`,
    growing(over),
  );
  const any = useNewest(page.value);
  const { lines, end } = page.value ?? { lines: [], end: null };
  return (
    <>
      <Loaded of={page}>{({ lines }) => <Lines lines={lines} />}</Loaded>
      {any === undefined ? null : (
        <Pager
          earlier={starts.length === 1 ? undefined : () => setStarts(starts.slice(0, -1))}
          later={
            lines.length < PAGE || end === null ? undefined : () => setStarts([...starts, end])
          }
        >
          Page {starts.length}, {number(lines.length)} lines
        </Pager>
      )}
    </>
  );
}

/** Whoever is at the end stays at the end. */
function Lines({ lines, follow = false }: { lines: string[]; follow?: boolean }): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  useEffect(() => {
    const element = box.current;
    if (follow && element !== null && atEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines, follow]);
  const scrolled = (): void => {
    const element = box.current;
    if (element === null) return;
    atEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < 8;
  };
  if (lines.length === 0) return <p class="empty">There are no lines.</p>;
  return (
    <pre
      class="log"
      ref={box}
      role="log"
      aria-live="off"
      aria-label="Log"
      tabIndex={0}
      onScroll={scrolled}
    >
      {lines.join("\n")}
    </pre>
  );
}
