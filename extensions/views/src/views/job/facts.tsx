import type { JobReport } from "@codechef/client";
import type { ComponentChildren, JSX } from "preact";

import { duration, money, number, significant } from "../../format.js";
import { CopyButton, Link, Name, Time, WebLink } from "../../parts/index.js";

/** What is known about a job; what is not is left out. */
export function Facts({ report }: { report: JobReport }): JSX.Element {
  return (
    <dl class="facts">
      {factsOf(report).map(([title, value, size]) => (
        <div key={title} class={size}>
          <dt>{title}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A page of the web, or a folder that a program of one's own can open. */
function Curves({ url }: { url: string }): JSX.Element {
  if (/^https?:/i.test(url)) return <WebLink url={url} />;
  return (
    <>
      <Name>{url}</Name> <CopyButton text={url} of="where the curves are" />
    </>
  );
}

function* stepsOf(report: JobReport): Generator<[string, ComponentChildren]> {
  const { current_step, total_steps, current_loss, learning_rate, eta_minutes } = report;
  if (current_step !== null) {
    const of = total_steps === null ? "" : ` of ${number(total_steps)}`;
    yield ["Step", `${number(current_step)}${of}`];
  }
  if (current_loss !== null) yield ["Loss", significant(current_loss, 4)];
  if (learning_rate !== null) yield ["Learning rate", significant(learning_rate)];
  if (eta_minutes !== null) yield ["Left", duration(60 * eta_minutes)];
}

/** Its name, its value, and whether that is long. */
type Fact = [string, ComponentChildren, "long"?];

function factsOf(report: JobReport): Fact[] {
  const { agent, actual_cost_usd, requester, backend, started_at, finished_at } = report;
  const { hub_repo, version, tensorboard_url, estimated_cost_usd } = report;
  const facts: Fact[] = [...stepsOf(report)];
  facts.push(["Estimated cost", money(estimated_cost_usd)]);
  if (actual_cost_usd !== null) facts.push(["Actual cost", money(actual_cost_usd)]);
  if (started_at !== null) facts.push(["Started", <Time at={started_at} />]);
  if (finished_at !== null) facts.push(["Ended", <Time at={finished_at} />]);
  if (started_at !== null && finished_at !== null) {
    facts.push(["Took", duration(finished_at - started_at)]);
  }
  if (backend !== "") facts.push(["Runs on", <Name>{backend}</Name>]);
  if (requester !== "") facts.push(["Asked for by", <Name>{requester}</Name>]);
  if (version !== null) {
    const to = { view: "registry", params: { agent } } as const;
    facts.push([
      "Version",
      <Link to={to}>
        <Name>{version}</Name>
      </Link>,
    ]);
  }
  if (hub_repo !== null) facts.push(["Repository", <Name>{hub_repo}</Name>, "long"]);
  if (tensorboard_url !== null) facts.push(["Curves", <Curves url={tensorboard_url} />, "long"]);
  return facts;
}
