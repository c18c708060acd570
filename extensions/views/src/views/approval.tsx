/** One approval: all that is asked for, and a person's answer. */

import { answered, type Api, ChefProblem, type Route, type ShownApproval } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { useHost, useMay } from "../context.js";
import { money, words } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import { CopyButton, Facts, Link, ProblemBox, State, Text, Time } from "../parts/index.js";
import { Call, GoesOn } from "./approval_call.js";
import { EditRequest } from "./approval_edit.js";

export function Approval(): JSX.Element {
  const { params } = useHost();
  const approval_id = params["approval_id"] ?? "";
  const path = { approval_id };
  const approval = useLoaded(
    (api, signal) => answered(api.GET("/approvals/{approval_id}", { params: { path }, signal })),
    approval_id,
  );
  return (
    <Loaded of={approval}>
      {(shown) => (
        <>
          <Asked of={shown} />
          {shown.status === "pending" ? <Pending of={shown} reload={approval.reload} /> : null}
          <CarriedOut of={shown} reload={approval.reload} />
          <Became of={shown} />
        </>
      )}
    </Loaded>
  );
}

function Asked({ of }: { of: ShownApproval }): JSX.Element {
  return (
    <>
      <p class="lead">
        <Text>{of.summary}</Text>
      </p>
      <dl class="record">
        <div>
          <dt>state</dt>
          <dd>
            <span role="status">
              <State of={of.status} />
            </span>
          </dd>
        </div>
        <div>
          <dt>price, at most</dt>
          <dd class="price">{money(of.price_ceiling_usd)}</dd>
        </div>
        <div>
          <dt>asked by</dt>
          <dd>
            <bdi>{of.requester}</bdi>, <Time at={of.created_at} />
          </dd>
        </div>
        {of.status === "pending" ? (
          <div>
            <dt>expires</dt>
            <dd>
              <Time at={of.expires_at} />
            </dd>
          </div>
        ) : null}
      </dl>
      {of.tool_call === null ? <Request of={of} /> : <Call of={of.tool_call} />}
      <p class="soft">
        <code>{of.id}</code>
        <CopyButton text={of.id} of="the approval's id" />
      </p>
    </>
  );
}

function Request({ of }: { of: ShownApproval }): JSX.Element {
  return (
    <>
      <h2>What belongs to it</h2>
      <Facts of={of.details} />
      <h2>The request: {words(of.use_case)}</h2>
      <Facts of={asked(of.request)} />
    </>
  );
}

/** That it is meant is not news: what only asks is answered at once. */
function asked(request: ShownApproval["request"]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(request).filter(([name]) => name !== "dry_run"));
}

type Act = (api: Api, reason: string) => Promise<unknown>;

/** Runs what was chosen; keeps the problem that it met. */
function useAct(reload: () => void): {
  act: (what: Act, reason: string) => void;
  busy: boolean;
  problem: ChefProblem | undefined;
} {
  const { api } = useHost();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ChefProblem>();
  const run = async (what: Act, reason: string): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await what(api, reason);
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
      reload();
    }
  };
  return { act: (what, reason) => void run(what, reason), busy, problem };
}

function Pending({ of, reload }: { of: ShownApproval; reload: () => void }): JSX.Element {
  const { me, navigate } = useHost();
  const { act, busy, problem } = useAct(reload);
  const [reason, setReason] = useState("");
  const [editing, setEditing] = useState(false);
  const path = { approval_id: of.id };
  const answer =
    (approve: boolean): Act =>
    (api, why) =>
      answered(
        api.POST("/approvals/{approval_id}/answer", {
          params: { path },
          body: { approve, reason: why },
        }),
      );
  const cancel: Act = (api, why) =>
    answered(
      api.POST("/approvals/{approval_id}/cancel", { params: { path }, body: { reason: why } }),
    );
  const mayEdit = useMay("approve");
  const own = of.requester === me.name;
  return (
    <section aria-labelledby="answer" class="answer">
      <h2 id="answer">Your answer</h2>
      {of.refusal === null ? null : (
        <p>
          <Text>{of.refusal}</Text>
        </p>
      )}
      {of.may_answer || own ? (
        <>
          <label for="reason">Reason</label>
          <textarea
            id="reason"
            rows={2}
            value={reason}
            onInput={({ currentTarget }) => setReason(currentTarget.value)}
          />
          <p class="hint">It is recorded with the answer, and whoever asked reads it.</p>
        </>
      ) : null}
      <div class="actions">
        {of.may_answer ? (
          <>
            <button
              type="button"
              class="primary"
              disabled={busy}
              onClick={() => act(answer(true), reason)}
            >
              Approve
            </button>
            <button
              type="button"
              class="danger"
              disabled={busy}
              onClick={() => act(answer(false), reason)}
            >
              Reject
            </button>
          </>
        ) : null}
        {own ? (
          <button type="button" disabled={busy} onClick={() => act(cancel, reason)}>
            Take it back
          </button>
        ) : null}
        {mayEdit ? (
          <button type="button" aria-expanded={editing} onClick={() => setEditing(!editing)}>
            Change what is asked for
          </button>
        ) : null}
      </div>
      {problem === undefined ? null : <ProblemBox problem={problem} />}
      {editing ? (
        <EditRequest
          of={of}
          reason={reason}
          edited={(id) => navigate({ view: "approval", params: { approval_id: id } })}
        />
      ) : null}
    </section>
  );
}

/** Who carries it out: for a use case anybody, once; an agent's call its conversation alone. */
function CarriedOut(given: { of: ShownApproval; reload: () => void }): JSX.Element | null {
  const { status, tool_call: call } = given.of;
  if (status === "pending") return null;
  if (call !== null) return <GoesOn {...given} thread_id={call.thread_id} />;
  return status === "approved" ? <Approved {...given} /> : null;
}

function Approved({ of, reload }: { of: ShownApproval; reload: () => void }): JSX.Element {
  const { navigate } = useHost();
  const { act, busy, problem } = useAct(reload);
  const carryOut: Act = async (api) => {
    const path = { approval_id: of.id };
    const call = api.POST("/approvals/{approval_id}/resume", { params: { path } });
    const begun = begunBy((await answered(call)).result);
    if (begun !== undefined) navigate(begun);
  };
  return (
    <section aria-labelledby="approved">
      <h2 id="approved">Approved, not carried out yet</h2>
      <p>
        A conversation that waits for it goes on by itself. Otherwise carry it out, once, from here.
      </p>
      <div class="actions">
        <button type="button" class="primary" disabled={busy} onClick={() => act(carryOut, "")}>
          Carry it out
        </button>
      </div>
      {problem === undefined ? null : <ProblemBox problem={problem} />}
    </section>
  );
}

/** Where to see what goes on now. */
function begunBy(result: object): Route | undefined {
  if ("job_id" in result && typeof result.job_id === "string") {
    return { view: "job", params: { job_id: result.job_id } };
  }
  if ("rollout_id" in result && typeof result.rollout_id === "string") {
    return { view: "rollout", params: { rollout_id: result.rollout_id } };
  }
  return undefined;
}

function Became({ of }: { of: ShownApproval }): JSX.Element | null {
  if (of.answered_at === null && of.edited_from === null && of.replaced_by === null) return null;
  const other = (id: string): JSX.Element => (
    <Link to={{ view: "approval", params: { approval_id: id } }}>
      <code>{id}</code>
    </Link>
  );
  return (
    <section aria-labelledby="became">
      <h2 id="became">What became of it</h2>
      <ul>
        {of.answered_at === null ? null : (
          <li>
            {of.consumed_at === null ? words(of.status) : "approved"} <Time at={of.answered_at} />
            {of.approver === null ? null : (
              <>
                {" "}
                by <bdi>{of.approver}</bdi>
              </>
            )}
            {of.reason === "" ? null : (
              <>
                : <Text>{of.reason}</Text>
              </>
            )}
          </li>
        )}
        {of.consumed_at === null ? null : (
          <li>
            carried out <Time at={of.consumed_at} />
          </li>
        )}
        {of.edited_from === null ? null : <li>in the place of {other(of.edited_from)}</li>}
        {of.replaced_by === null ? null : <li>replaced by {other(of.replaced_by)}</li>}
      </ul>
    </section>
  );
}
