/** The trees of the side bar; all are live through the server's events. */

import * as vscode from "vscode";

import { hasEnded } from "../commands/watch.js";
import type { Desk } from "../desk.js";
import { agents } from "./agents.js";
import { approvals } from "./approvals.js";
import { Followers } from "./followers.js";
import { jobs } from "./jobs.js";
import { type Node, Tree } from "./node.js";

import { isUnderWay, rollouts } from "./rollouts.js";

/** Streams that a tree holds open at most, for what is newest. */
const FOLLOWED = 20;

export function registerTrees(context: vscode.ExtensionContext, desk: Desk): void {
  const { picture, server } = desk;
  const api = (): typeof server.api => server.api;
  const ofJobs = new Followers(api, "/jobs/{job_id}/events", "job_id", hasEnded, () =>
    jobTree.refresh(),
  );
  const ofRollouts = new Followers(
    api,
    "/rollouts/{rollout_id}/events",
    "rollout_id",
    ({ phase }) => !isUnderWay(phase),
    () => rolloutTree.refresh(),
  );
  const agentTree = new Tree(() => agents(desk));
  const jobTree = new Tree(() => jobs(desk, ofJobs.last));
  const rolloutTree = new Tree(() => rollouts(desk, ofRollouts.last));
  const approvalTree = new Tree(() => approvals(desk));
  const view = (id: string, tree: Tree): vscode.TreeView<Node> =>
    vscode.window.createTreeView(`codechef.${id}`, { treeDataProvider: tree });
  const jobView = view("jobs", jobTree);
  const rolloutView = view("rollouts", rolloutTree);
  const approvalView = view("approvals", approvalTree);
  const trees = [agentTree, jobTree, rolloutTree, approvalTree];

  /** Only what is looked at is followed. */
  const follow = (): void => {
    const { seen } = picture;
    const running = seen?.jobs.filter((one) => !hasEnded(one)) ?? [];
    const underWay = seen?.rollouts.filter(({ phase }) => isUnderWay(phase)) ?? [];
    ofJobs.only(jobView.visible ? running.slice(0, FOLLOWED).map((one) => one.job_id) : []);
    ofRollouts.only(rolloutView.visible ? underWay.slice(0, FOLLOWED).map(({ id }) => id) : []);
  };
  const update = (): void => {
    void vscode.commands.executeCommand("setContext", "codechef.seen", picture.seen !== undefined);
    const waiting = picture.seen?.approvals.filter(({ may_answer: may }) => may).length ?? 0;
    approvalView.badge =
      waiting > 0 ? { value: waiting, tooltip: "Approvals that wait for your answer" } : undefined;
    follow();
    for (const tree of trees) tree.refresh();
  };
  update();
  context.subscriptions.push(
    ...trees,
    view("agents", agentTree),
    jobView,
    rolloutView,
    approvalView,
    ofJobs,
    ofRollouts,
    picture.onDidChange(update),
    jobView.onDidChangeVisibility(follow),
    rolloutView.onDidChangeVisibility(follow),
  );
}
