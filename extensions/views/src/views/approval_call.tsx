/** An agent's call that waits for a person: what it is, and its conversation that goes on. */

import {
  answered,
  type ChatEvent,
  ChefProblem,
  resume,
  type ShownApproval,
  type ShownToolCall,
} from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useHost, useMay } from "../context.js";
import { useLoaded } from "../loaded.js";
import { Beginning, Facts, Link, ProblemBox, Text } from "../parts/index.js";

/** The tool, and everything that it is called with. */
export function Call({ of: { agent, server, tool, ...call } }: { of: ShownToolCall }): JSX.Element {
  return (
    <>
      <h2>The call</h2>
      <Facts of={{ agent, tool, server }} />
      <h2>What it is called with</h2>
      {Object.entries(call.arguments).map(([name, value]) => (
        <section key={name}>
          <h3>
            <bdi>{name}</bdi>
          </h3>
          <Text code>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</Text>
        </section>
      ))}
    </>
  );
}

/** What is said in the conversation as it goes on from here; the call is made nowhere else. */
export function GoesOn({
  of: { id },
  thread_id,
  reload,
}: {
  of: ShownApproval;
  thread_id: string;
  reload: () => void;
}): JSX.Element | null {
  const { api } = useHost();
  const mayWake = [useMay("change"), useMay("approve")].includes(true);
  const [said, setSaid] = useState<ChatEvent[]>([]);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ChefProblem>();
  const thread = useLoaded((asked, signal) => {
    const params = { path: { thread_id } };
    return answered(asked.GET("/threads/{thread_id}", { params, signal }));
  }, thread_id);
  const waits = Object.values(thread.value?.interrupts ?? {})
    .flat()
    .some(({ value }) => asksFor(value, id));
  const listening = useRef<AbortController>();
  useEffect(() => () => listening.current?.abort(), []);
  const goOn = async (): Promise<void> => {
    const { signal } = (listening.current = new AbortController());
    setBusy(true);
    setProblem(undefined);
    try {
      for await (const event of resume(api, thread_id, id, { signal })) {
        setSaid((before) => [...before, event]);
      }
    } catch (error) {
      if (signal.aborted) return; // the turn goes on
      if (!(error instanceof ChefProblem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
      thread.reload();
      reload();
    }
  };
  if (!waits && said.length === 0) return null;
  return (
    <section aria-labelledby="goes-on">
      <h2 id="goes-on">{waits ? "Its conversation waits to go on" : "Its conversation goes on"}</h2>
      {waits && mayWake ? (
        <div class="actions">
          <button type="button" class="primary" disabled={busy} onClick={() => void goOn()}>
            Go on
          </button>
        </div>
      ) : null}
      {problem === undefined ? null : <ProblemBox problem={problem} />}
      <ol class="plain" aria-live="polite" aria-busy={busy}>
        {said.map((event, index) => (
          <Heard key={index} event={event} />
        ))}
      </ol>
    </section>
  );
}

/** What a person reads of it; pieces of messages come again, whole. */
function Heard({ event }: { event: ChatEvent }): JSX.Element | null {
  if (event.type === "message") {
    return (
      <li>
        <b>
          <bdi>{event.agent}</bdi>
        </b>
        : <Text>{event.text}</Text>
      </li>
    );
  }
  if (event.type === "error") {
    return (
      <li>
        <Text>{[event.message, event.remedy].filter(Boolean).join(" ")}</Text>
      </li>
    );
  }
  if (event.type !== "approval_required") return null;
  return (
    <li>
      Waits for:{" "}
      <Link to={{ view: "approval", params: { approval_id: event.approval_id } }}>
        <Beginning>{event.summary}</Beginning>
      </Link>
    </li>
  );
}

/** Whether a conversation waits for an approval: its first, or one beside it. */
function asksFor(value: unknown, id: string): boolean {
  if (typeof value !== "object" || value === null) return false;
  if ("approval_id" in value && value.approval_id === id) return true;
  return "also" in value && Array.isArray(value.also) && value.also.some((one) => asksFor(one, id));
}
