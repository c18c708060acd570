/** A rollout, live: its arms, its evidence against its bounds, and who decided what. */

import { answered, type RolloutReport } from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useHost } from "../../context.js";
import { percent, words } from "../../format.js";
import { Loaded, useFollowed, useLoaded } from "../../loaded.js";
import { Change, Link, Name, Split, State, Text } from "../../parts/index.js";
import { Arms } from "./arms.js";
import { Checklist } from "./checklist.js";
import { Decisions } from "./decisions.js";
import { Drill } from "./drill.js";
import { Evidence } from "./evidence.js";
import { Watches } from "./watches.js";

export function Rollout(): JSX.Element {
  const { params } = useHost();
  const rollout_id = params["rollout_id"] ?? "";
  const path = { rollout_id };
  const report = useFollowed("/rollouts/{rollout_id}/events", path, isOver);
  const history = useLoaded(
    (api, signal) =>
      answered(api.GET("/rollouts/{rollout_id}/history", { params: { path }, signal })),
    rollout_id,
    { when: () => false },
  );
  // The stream says that something has changed, the history what it came to.
  useEffect(() => {
    if (report.value !== undefined) history.reload();
  }, [report.value]);
  return (
    <Loaded of={report}>
      {(shown) => (
        <>
          <Standing of={shown} />
          <Actions of={shown} />
          <Arms of={shown} />
          <Watches of={shown} />
          <Loaded of={history}>
            {(told) => <Evidence of={told} arms={shown.arms.map(({ arm }) => arm)} />}
          </Loaded>
          <Drill of={shown} open={!isOver(shown)} />
          <Checklist of={shown.checklist} />
          <Decisions of={shown.decisions} />
        </>
      )}
    </Loaded>
  );
}

/** A rollout that is over has a reason why. */
function isOver({ phase }: RolloutReport): boolean {
  return phase === "promoted" || phase === "rolled_back";
}

function Standing({ of }: { of: RolloutReport }): JSX.Element {
  const lines = new Set([of.reason, of.verdict_reason, of.outlook].filter((line) => line !== ""));
  return (
    <section aria-labelledby="standing">
      <h2 id="standing" class="standing">
        <Link to={{ view: "rollouts", params: { agent: of.agent } }}>
          <Name>{of.agent}</Name>
        </Link>
        {of.strategy === null ? null : <span>{words(of.strategy)}</span>}
        {of.phase === null ? null : <State of={of.phase} />}
        {of.verdict === null ? null : <State of={of.verdict} />}
      </h2>
      {[...lines].map((line) => (
        <p key={line}>
          <Text>{line}</Text>
        </p>
      ))}
      <Split
        asked={of.strategy === "ensemble" ? "votes" : "asked"}
        arms={of.arms.map(({ arm, asked_pct, realised_pct, mirror_pct }) => ({
          name: arm,
          asked: asked_pct,
          realised: isOver(of) ? null : realised_pct,
          copies: mirror_pct,
        }))}
      />
      {of.judge === null ? null : (
        <p class="soft">
          Judged by <Name>{of.judge}</Name>
        </p>
      )}
      {of.steps.length === 0 ? null : (
        <p class="soft">
          Steps:{" "}
          {of.steps.map((step, i) => (
            <span key={step} aria-current={i === of.step ? "step" : undefined} class="step">
              {percent(step, 0)}
            </span>
          ))}
        </p>
      )}
    </section>
  );
}

/** What can be asked for. A dry run says what it would change; asking may come to an approval. */
function Actions({ of }: { of: RolloutReport }): JSX.Element {
  const { agent, arms } = of;
  const offered = !isOver(of);
  const racing = arms.slice(1).filter((arm) => arm.asked_pct > 0 || arm.mirror_pct > 0);
  // What was open when it ended stays, so its buttons do, unseen.
  const last = useRef(racing);
  if (offered) last.current = racing;
  const named = last.current.map(({ version, model }) => version ?? model);
  return (
    <div class="actions">
      {named.length > 1 ? (
        named.map((one) => (
          <Change
            key={one}
            label={`Promote ${one}`}
            offered={offered}
            useCase="promote_canary"
            request={{ agent, version: one }}
          />
        ))
      ) : (
        <Change label="Promote" offered={offered} useCase="promote_canary" request={{ agent }} />
      )}
      <Change
        label="Roll back"
        danger
        offered={offered}
        useCase="rollback_deployment"
        request={{ agent }}
      />
    </div>
  );
}
