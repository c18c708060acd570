/** What waits for a person, and what became of what waited before. */

import { answered, type ShownApproval } from "@codechef/client";
import type { JSX } from "preact";

import { money, words } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import { Link, State, Table, Text, Time } from "../parts/index.js";

const LATEST = 50;

export function Approvals(): JSX.Element {
  const pending = useLoaded((api, signal) => answered(api.GET("/approvals", { signal })), "");
  const all = useLoaded(
    (api, signal) =>
      answered(api.GET("/approvals", { params: { query: { all: true, limit: LATEST } }, signal })),
    "",
  );
  return (
    <>
      <section aria-labelledby="pending">
        <h2 id="pending">Waiting</h2>
        <Loaded of={pending}>{({ approvals }) => <Pending of={approvals} />}</Loaded>
      </section>
      <section aria-labelledby="over">
        <h2 id="over">Answered, used or expired</h2>
        <Loaded of={all}>
          {({ approvals }) => <Over of={approvals.filter(({ status }) => status !== "pending")} />}
        </Loaded>
      </section>
    </>
  );
}

function Pending({ of }: { of: ShownApproval[] }): JSX.Element {
  return (
    <Table
      caption="Requests that wait for an answer"
      hideCaption
      empty="Nothing waits."
      rows={of}
      id={({ id }) => id}
      columns={[
        { title: "What", cell: (one) => <What of={one} /> },
        { title: "At most", numeric: true, cell: (one) => money(one.price_ceiling_usd) },
        { title: "Asked by", cell: ({ requester }) => <bdi>{requester}</bdi> },
        { title: "Expires", cell: ({ expires_at }) => <Time at={expires_at} /> },
        {
          title: "For you",
          cell: ({ refusal }) =>
            refusal === null ? (
              <span class="pair">to answer</span>
            ) : (
              <span class="soft">
                <Text>{refusal}</Text>
              </span>
            ),
        },
      ]}
    />
  );
}

function Over({ of }: { of: ShownApproval[] }): JSX.Element {
  return (
    <Table
      caption="Requests that do not wait any more, newest first"
      hideCaption
      rows={of}
      id={({ id }) => id}
      columns={[
        { title: "What", cell: (one) => <What of={one} /> },
        { title: "Became", cell: ({ status }) => <State of={status} /> },
        { title: "Asked by", cell: ({ requester }) => <bdi>{requester}</bdi> },
        { title: "Answered by", cell: ({ approver }) => <bdi>{approver ?? "–"}</bdi> },
        { title: "When", cell: (one) => <Time at={one.answered_at ?? one.created_at} /> },
        { title: "Reason", cell: ({ reason }) => <Text long={200}>{reason}</Text> },
      ]}
    />
  );
}

function What({ of: { id, use_case, summary } }: { of: ShownApproval }): JSX.Element {
  return (
    <>
      <Link to={{ view: "approval", params: { approval_id: id } }}>{words(use_case)}</Link>
      <p class="plain-text">
        <Text long={300}>{summary}</Text>
      </p>
    </>
  );
}
