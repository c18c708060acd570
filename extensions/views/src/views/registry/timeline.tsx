/** What served when: a row for each version, a bar for each stretch of time. */

import type { Served } from "@codechef/client";
import type { JSX } from "preact";

import { moment, percent } from "../../format.js";
import { clock, Name, Table } from "../../parts/index.js";

export function Timeline({ served }: { served: Served[] }): JSX.Element {
  if (served.length === 0) return <p class="empty">Nothing of the registry has served yet.</p>;
  const now = 1000 * clock.value;
  const start = Math.min(...served.map(({ since }) => Date.parse(since)));
  const end = Math.max(now, start + 1);
  const place = (at: number): number => (100 * (at - start)) / (end - start);
  const versions = [...new Set(served.map(({ version }) => version))];
  return (
    <>
      <div class="timeline" aria-hidden="true">
        {versions.map((version) => (
          <div key={version} class="timeline-row">
            <Name>{version}</Name>
            <svg class="timeline-bars" preserveAspectRatio="none" viewBox="0 0 100 10">
              {served
                .filter((one) => one.version === version)
                .map(({ role, since, until, percent: share }) => {
                  const from = place(Date.parse(since));
                  const to = until === null ? 100 : place(Date.parse(until));
                  const high = Math.max(2, share / 10);
                  return (
                    <rect
                      key={`${role} ${since}`}
                      class={`served-${role}`}
                      x={from}
                      width={Math.max(0.3, to - from)}
                      y={10 - high}
                      height={high}
                    />
                  );
                })}
            </svg>
          </div>
        ))}
        <div class="timeline-row timeline-ends">
          <span />
          <span>{moment(new Date(start).toISOString())}</span>
          <span>now</span>
        </div>
      </div>
      <Table
        caption="What served when, newest first"
        rows={[...served].sort((a, b) => b.since.localeCompare(a.since))}
        id={({ version, role, since }) => `${version} ${role} ${since}`}
        columns={[
          { title: "Version", cell: ({ version }) => <Name>{version}</Name> },
          { title: "As", cell: ({ role }) => role },
          { title: "Share", numeric: true, cell: (one) => percent(one.percent) },
          { title: "From", cell: ({ since }) => moment(since) },
          {
            title: "Until",
            cell: ({ until }) => (until === null ? "now" : moment(until)),
          },
        ]}
      />
    </>
  );
}
