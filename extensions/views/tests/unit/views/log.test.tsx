/** A job's log: followed as long as the job writes, and no longer. */

import { signal } from "@preact/signals";
import { cleanup, fireEvent, render, screen, waitFor, within } from "@testing-library/preact";
import { afterEach, expect, test, vi } from "vitest";

import { App } from "../../../src/app.js";
import { fakeHost, FakeServer } from "../fake_host.js";
import { REPORT } from "./records.js";

afterEach(() => {
  vi.useRealTimers();
  cleanup();
});

const REPORTS = "/jobs/job_1/events";
const LINES = "/jobs/job_1/log/events";

function jobs(end: number | null): FakeServer {
  const chef = new FakeServer();
  chef.answers.set("GET /jobs/job_1/log", { lines: ["begun"], end });
  chef.answers.set("GET /jobs/job_1/losses", { job_id: "job_1", losses: [] });
  return chef;
}

async function show(chef: FakeServer, report: object): Promise<void> {
  render(<App host={fakeHost(chef, { view: "job", params: { job_id: "job_1" } })} />);
  await chef.following(REPORTS);
  chef.send(REPORTS, "report", report);
  await screen.findByText("begun");
}

const asked = (chef: FakeServer, path: string): number =>
  chef.asked.filter((one) => one.path.split("?")[0] === path).length;

test("a log is followed to the end of its job, and then no more", async () => {
  const chef = jobs(5);
  await show(chef, REPORT);
  await chef.following(LINES);
  chef.send(LINES, "lines", { lines: ["step 1"], end: 12 });
  await screen.findByText(/begun\s+step 1/);
  chef.end(LINES); // it broke off, for the job runs
  await waitFor(() => expect(asked(chef, LINES)).toBe(2));
  chef.send(REPORTS, "report", { ...REPORT, status: "completed" });
  await screen.findByText("completed");
  chef.send(LINES, "lines", { lines: ["saved"], end: 18 });
  await screen.findByText(/step 1\s+saved/);
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  chef.end(LINES);
  for (let turn = 0; turn < 20; turn++) await vi.advanceTimersByTimeAsync(1000);
  expect(asked(chef, LINES)).toBe(2);
  expect(screen.getByText(/begun\s+step 1\s+saved/)).toBeTruthy();
});

test("a page that nobody sees follows nothing; seen again it shows what is new, and goes on", async () => {
  const chef = jobs(5);
  const seen = signal(true);
  const route = { view: "job", params: { job_id: "job_1" } } as const;
  render(<App host={{ ...fakeHost(chef, route), seen }} />);
  await chef.following(REPORTS);
  chef.send(REPORTS, "report", REPORT);
  const streams = ["/activity/events", REPORTS, LINES];
  const followed = (): number[] => streams.map((path) => chef.followers(path));
  await expect.poll(followed).toEqual([1, 1, 1]);
  seen.value = false;
  await expect.poll(followed).toEqual([0, 0, 0]);
  expect(screen.getByText("begun")).toBeTruthy();
  const losses = asked(chef, "/jobs/job_1/losses");
  chef.answers.set("GET /jobs/job_1/log", { lines: ["begun", "step 1"], end: 12 });
  seen.value = true;
  await expect.poll(followed).toEqual([1, 1, 1]);
  expect(screen.queryByText(/Reconnecting/)).toBeNull();
  chef.send(REPORTS, "report", { ...REPORT, current_step: 60 });
  chef.send(LINES, "lines", { lines: ["step 2"], end: 19 });
  expect(await screen.findByText("60 of 100")).toBeTruthy();
  expect(await screen.findByText(/^begun\s+step 1\s+step 2$/)).toBeTruthy();
  await expect.poll(() => asked(chef, "/jobs/job_1/losses")).toBeGreaterThan(losses);
});

test("the log of a job that was resumed goes on", async () => {
  const chef = jobs(5);
  chef.answers.set("POST /modelops/resume_training_job", () => {
    const { body } = chef.asked[chef.asked.length - 1] ?? {};
    const plan = { summary: "It goes on.", estimated_cost_usd: 0, estimated_minutes: null };
    return (body as { dry_run?: boolean }).dry_run
      ? { dry_run: true, ...plan, approval_needed: false, details: {} }
      : { job_id: "job_1", status: "running" };
  });
  await show(chef, { ...REPORT, status: "failed" });
  expect(asked(chef, LINES)).toBe(0);
  fireEvent.click(await screen.findByRole("button", { name: "Resume the job" }));
  const question = within(await screen.findByRole("dialog", { name: "Resume the job" }));
  await question.findByText("It goes on.");
  fireEvent.click(question.getByRole("button", { name: "Resume the job" }));
  await question.findByText("Done.");
  await chef.following(REPORTS);
  chef.send(REPORTS, "report", REPORT);
  await chef.following(LINES);
  chef.send(LINES, "lines", { lines: ["from step 40"], end: 20 });
  expect(await screen.findByText(/begun\s+from step 40/)).toBeTruthy();
});

test("a log of which only the end can be read is read again, until its job has ended", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const chef = jobs(null);
  await show(chef, REPORT);
  await expect.poll(() => asked(chef, "/jobs/job_1/log")).toBe(2);
  chef.answers.set("GET /jobs/job_1/log", { lines: ["begun", "step 1"], end: null });
  vi.advanceTimersByTime(3000);
  expect(await screen.findByText(/begun\s+step 1/)).toBeTruthy();
  chef.answers.set("GET /jobs/job_1/log", { lines: ["step 1", "saved"], end: null });
  chef.send(REPORTS, "report", { ...REPORT, status: "completed" });
  expect(await screen.findByText(/step 1\s+saved/)).toBeTruthy();
  const before = asked(chef, "/jobs/job_1/log");
  vi.advanceTimersByTime(30_000);
  await new Promise((done) => setTimeout(done, 20));
  expect(asked(chef, "/jobs/job_1/log")).toBe(before);
  expect(asked(chef, LINES)).toBe(0);
});
