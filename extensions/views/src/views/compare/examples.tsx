/** The examples on which two models differ, side by side. */

import { answered, type DifferingExample, type GivenAnswer } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { latency, money, number, words } from "../../format.js";
import { Loaded, useLoaded, useNewest } from "../../loaded.js";
import { Badge, Name, Pager, Text, type Tone } from "../../parts/index.js";
import { type Stretch, wordDiff } from "./word_diff.js";

const PAGE = 10;
/** Characters of an answer from which it is folded. */
const LONG = 1_500;

type Kind = DifferingExample["kind"];

const KINDS: Record<Kind, { title: string; tone: Tone }> = {
  won: { title: "candidate won", tone: "good" },
  lost: { title: "candidate lost", tone: "bad" },
  other: { title: "differ otherwise", tone: "plain" },
};

export function Examples({ jobId }: { jobId: string }): JSX.Element {
  const [kind, setKind] = useState<Kind>();
  const [starts, setStarts] = useState([0]);
  const after = starts[starts.length - 1] ?? 0;
  const query = { after, limit: PAGE, ...(kind === undefined ? {} : { kind }) };
  const page = useLoaded(
    (api, signal) =>
      answered(
        api.GET("/jobs/{job_id}/differences", {
          params: { path: { job_id: jobId }, query },
          signal,
        }),
      ),
    `${jobId} ${JSON.stringify(query)}`,
    { when: () => false },
  );
  // What is pressed to see other examples stays while they come.
  const any = useNewest(page.value);
  const next = page.value?.next ?? null;
  const isAll = page.value?.next === null && starts.length === 1;
  const filter = (wanted: Kind | undefined): void => {
    setKind(wanted);
    setStarts([0]);
  };
  return (
    <section>
      <h2>Where they differ</h2>
      {any === undefined ? null : <Filter counts={any.counts} kind={kind} choose={filter} />}
      <Loaded of={page}>
        {({ examples, candidate, baseline }) => (
          <>
            {examples.length === 0 ? <p class="empty">There are no such examples.</p> : null}
            {examples.map((example) => (
              <Example
                key={`${example.example_id} ${example.repetition}`}
                example={example}
                names={[baseline ?? "", candidate]}
              />
            ))}
          </>
        )}
      </Loaded>
      {any === undefined || isAll ? null : (
        <Pager
          earlier={starts.length === 1 ? undefined : () => setStarts(starts.slice(0, -1))}
          later={next === null ? undefined : () => setStarts([...starts, next])}
        >
          Page {starts.length}
        </Pager>
      )}
    </section>
  );
}

function Filter({
  counts,
  kind,
  choose,
}: {
  counts: Record<string, number>;
  kind: Kind | undefined;
  choose: (kind: Kind | undefined) => void;
}): JSX.Element {
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const kinds = Object.keys(KINDS) as Kind[];
  return (
    <div class="actions" role="group" aria-label="Which examples">
      <button type="button" aria-pressed={kind === undefined} onClick={() => choose(undefined)}>
        all ({number(all)})
      </button>
      {kinds.map((one) => (
        <button key={one} type="button" aria-pressed={kind === one} onClick={() => choose(one)}>
          {KINDS[one].title} ({number(counts[one] ?? 0)})
        </button>
      ))}
    </div>
  );
}

function Example({
  example,
  names,
}: {
  example: DifferingExample;
  names: [string, string];
}): JSX.Element {
  const { example_id, repetition, kind, category, task, expected, baseline, candidate } = example;
  const [open, setOpen] = useState(false);
  const shown = [baseline, candidate].map(({ answer }) =>
    open ? (answer ?? "") : (answer ?? "").slice(0, LONG),
  );
  const long = [baseline, candidate].some(({ answer }) => (answer ?? "").length > LONG);
  const [left, right] = wordDiff(shown[0] ?? "", shown[1] ?? "");
  const { title, tone } = KINDS[kind];
  return (
    <article class="example" aria-label={`Example ${example_id}`}>
      <p class="example-line">
        <Badge tone={tone}>{title}</Badge> <Name>{example_id}</Name>
        {repetition > 0 ? <span class="soft">repetition {number(repetition + 1)}</span> : null}
        {category === "" ? null : <Badge tone="plain">{category}</Badge>}
      </p>
      <h3>Task</h3>
      <Text code>{task}</Text>
      {expected === "" ? null : (
        <>
          <h3>Expected</h3>
          <Text code>{expected}</Text>
        </>
      )}
      <div class="sides">
        <Side name={names[0]} role="Baseline" answer={baseline} stretches={left} />
        <Side name={names[1]} role="Candidate" answer={candidate} stretches={right} />
      </div>
      {long ? (
        <button type="button" class="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Show less of the answers" : "Show the whole answers"}
        </button>
      ) : null}
    </article>
  );
}

function Side({
  name,
  role,
  answer,
  stretches,
}: {
  name: string;
  role: string;
  answer: GivenAnswer;
  stretches: Stretch[];
}): JSX.Element {
  return (
    <section class="side" aria-label={`${role}'s answer`}>
      <h3>
        {role} <Name>{name}</Name>
      </h3>
      {answer.answer === null ? (
        <p class="side-error">
          <Text>{answer.error ?? ""}</Text>
        </p>
      ) : (
        <pre class="text" dir="auto">
          {stretches.map(({ text, differs }, i) => (differs ? <mark key={i}>{text}</mark> : text))}
        </pre>
      )}
      <p class="soft">{factsOf(answer)}</p>
    </section>
  );
}

function factsOf({ scores, latency_s, completion_tokens, cost_usd, cached }: GivenAnswer): string {
  const facts = Object.entries(scores).map(
    ([metric, score]) => `${words(metric)} ${number(score, 3)}`,
  );
  if (latency_s !== null) facts.push(latency(1000 * latency_s));
  if (completion_tokens !== null) facts.push(`${number(completion_tokens)} tokens`);
  if (cost_usd !== null) facts.push(money(cost_usd));
  if (cached) facts.push("paid for before");
  return facts.join(" · ");
}
