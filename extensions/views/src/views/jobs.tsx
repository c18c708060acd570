/** All jobs, newest first. */

import { answered, type JobSummary } from "@codechef/client";
import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { money } from "../format.js";
import { Loaded, useLoaded } from "../loaded.js";
import { JobLink, Name, State, Table, Time } from "../parts/index.js";

const STATUSES = ["pending", "running", "completed", "failed", "cancelled"] as const;

export function Jobs(): JSX.Element {
  const [status, setStatus] = useState<JobSummary["status"]>();
  const jobs = useLoaded(
    (api, signal) => {
      const query = { limit: 100, ...(status === undefined ? {} : { status }) };
      return answered(api.GET("/jobs", { params: { query }, signal }));
    },
    status ?? "",
    { when: ({ action }) => action.startsWith("job_"), everyMs: 5_000 },
  );
  return (
    <>
      <p>
        <label>
          Status{" "}
          <select
            value={status ?? ""}
            onChange={({ currentTarget }) =>
              setStatus(STATUSES.find((one) => one === currentTarget.value))
            }
          >
            <option value="">all</option>
            {STATUSES.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
          </select>
        </label>
      </p>
      <Loaded of={jobs}>{({ jobs: rows }) => <JobTable rows={rows} />}</Loaded>
    </>
  );
}

export function JobTable({ rows }: { rows: JobSummary[] }): JSX.Element {
  return (
    <Table
      caption="Jobs, newest first"
      hideCaption
      rows={rows}
      id={({ job_id }) => job_id}
      empty="There are no such jobs."
      columns={[
        {
          title: "Job",
          cell: ({ job_id }) => <JobLink job_id={job_id} />,
        },
        { title: "Kind", cell: ({ kind }) => kind },
        { title: "Agent", cell: ({ agent }) => <Name>{agent}</Name> },
        { title: "Status", cell: ({ status }) => <State of={status} /> },
        { title: "Runs on", cell: ({ backend }) => <Name>{backend}</Name> },
        { title: "Asked for by", cell: ({ requester }) => <Name>{requester}</Name> },
        { title: "Started", cell: ({ created_at }) => <Time at={created_at} /> },
        {
          title: "Cost",
          numeric: true,
          cell: ({ actual_cost_usd, estimated_cost_usd }) =>
            actual_cost_usd === null ? `≈ ${money(estimated_cost_usd)}` : money(actual_cost_usd),
        },
      ]}
    />
  );
}
