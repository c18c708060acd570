/** A change of what serves or runs: what would happen is asked of the server first and shown. */

import "./change.css";

import {
  type Answer,
  ask,
  type ChangingUseCase,
  ChefProblem,
  type RequestOf,
  tryOut,
  type WaitsForApproval,
} from "@codechef/client";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { useHost, useMay } from "../context.js";
import { useTried } from "../tried.js";
import { Link } from "./link.js";
import { Planned } from "./planned.js";
import { ProblemBox } from "./problem.js";
import { Text } from "./text.js";

interface ChangeGiven<U extends ChangingUseCase> {
  /** What the button says, and the question's heading. */
  label: string;
  useCase: U;
  /** Tried anew when it changes. */
  request: RequestOf<U>;
  danger?: boolean;
  primary?: boolean;
  /** Without it there is no button. A question that is open stays, for its answer is to be read. */
  offered?: boolean;
  /** What a person may choose; the request holds what they chose. */
  children?: ComponentChildren;
  onDone?: () => void;
}

/** A button that asks before it does anything; nothing for who may change nothing. */
export function Change<U extends ChangingUseCase>(given: ChangeGiven<U>): JSX.Element | null {
  const [open, setOpen] = useState(false);
  const may = useMay("change");
  if (!may) return null;
  const { offered = true } = given;
  const tone = given.danger === true ? "danger" : given.primary === true ? "primary" : undefined;
  return (
    <>
      {offered ? (
        <button type="button" class={tone} onClick={() => setOpen(true)}>
          {given.label}
        </button>
      ) : null}
      {open ? <Question {...given} close={() => setOpen(false)} /> : null}
    </>
  );
}

function Question<U extends ChangingUseCase>({
  close,
  ...given
}: ChangeGiven<U> & { close: () => void }): JSX.Element {
  const { label, onDone } = given;
  const [answer, setAnswer] = useState<Answer<U>>();
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const leave = (): void => dialog.current?.close();
  return (
    <dialog class="change" ref={dialog} onClose={close} aria-label={label}>
      <h2>{label}</h2>
      {answer === undefined ? (
        <Wanted
          {...given}
          told={(next) => {
            setAnswer(next);
            onDone?.();
          }}
          leave={leave}
        />
      ) : (
        <>
          <Over answer={answer} />
          <div class="actions">
            <button type="button" onClick={leave}>
              Close
            </button>
          </div>
        </>
      )}
    </dialog>
  );
}

/** What would happen, and the button that makes it happen. */
function Wanted<U extends ChangingUseCase>({
  label,
  useCase,
  request,
  danger = false,
  children,
  told,
  leave,
}: ChangeGiven<U> & {
  /** Told what became of it. */
  told: (answer: Answer<U>) => void;
  leave: () => void;
}): JSX.Element {
  const { api } = useHost();
  const [busy, setBusy] = useState(false);
  const key = JSON.stringify(request);
  const { value, current, again } = useTried((one) => tryOut(one, useCase, request), key);
  const { planned } = value ?? {};
  const [problem, setProblem] = useState<ChefProblem>();
  useEffect(() => setProblem(undefined), [key]); // it was about another request
  const refused = problem ?? value?.problem;
  const carryOut = async (): Promise<void> => {
    setBusy(true);
    try {
      told(await ask(api, useCase, request));
    } catch (error) {
      if (!(error instanceof ChefProblem)) throw error;
      setProblem(error);
    } finally {
      setBusy(false);
    }
  };
  const retry = (): void => {
    setProblem(undefined);
    again();
  };
  return (
    <>
      {children}
      <div aria-live="polite" aria-busy={!current}>
        {value === undefined ? <p class="loading">Asking what would happen …</p> : null}
        {planned === undefined ? null : <Planned of={planned} />}
        {refused === undefined ? null : <ProblemBox problem={refused} retry={retry} />}
      </div>
      <div class="actions">
        {planned === undefined ? null : (
          <button
            type="button"
            class={danger ? "danger" : "primary"}
            disabled={!current || busy || Boolean(planned.objection)}
            onClick={() => void carryOut()}
          >
            {planned.approval_needed ? "Ask for approval" : label}
          </button>
        )}
        <button type="button" onClick={leave}>
          Leave it
        </button>
      </div>
    </>
  );
}

/** What became of it: who hears the page goes on from here, for the button that they pressed is gone. */
function Over<U extends ChangingUseCase>({ answer }: { answer: Answer<U> }): JSX.Element {
  const said = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => said.current?.focus(), []);
  return (
    <div class="change-over" tabIndex={-1} ref={said}>
      {answer.kind === "done" ? <p>Done.</p> : <Waits of={answer.waits} />}
    </div>
  );
}

function Waits({ of: { detail, approval_id } }: { of: WaitsForApproval }): JSX.Element {
  return (
    <>
      <p>
        <Text>{detail}</Text>
      </p>
      <p>
        <Link to={{ view: "approval", params: { approval_id } }}>Open the approval</Link>
      </p>
    </>
  );
}
