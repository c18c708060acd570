/**
 * Measures the page in headless chromium against a real API: see support/benchmarks/page.py.
 *
 * Its argument is what the installation says of itself, with how often to measure. Prints JSON.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import type { Page } from "playwright-core";

import { Browser, close } from "../tests/browser/browser.js";
import type { Installation } from "../../tests/rig/pictured.js";

const POINTS = 10_000;
const FRAMES = 120;
const CHART_JS = join(
  dirname(createRequire(import.meta.url).resolve("chart.js")),
  "chart.umd.min.js",
);

interface Asked extends Installation {
  runs: number;
  /** How often each way of drawing takes its turn. */
  rounds: number;
}

/** A turn: milliseconds of every frame, and of what its drawing asked of the main thread. */
interface Turn {
  frame_ms: number[];
  work_ms: number[];
}

const asked = JSON.parse(process.argv[2] ?? "") as Asked;
const browser = await Browser.start();
try {
  const first = await firstViews(asked);
  const panning = await pannings(asked);
  process.stdout.write(JSON.stringify({ points: POINTS, first_view_ms: first, panning }));
} finally {
  await browser.stop();
}

/** From the first request of a browser that knows nothing to what the view is about. */
async function firstViews(at: Asked): Promise<Record<string, number[]>> {
  const views = {
    overview: ["#/overview", "main table"],
    job: [`#/job/${at.trained_id}`, ".plot canvas"],
    compare: [`#/compare/${at.evaluation_id}`, ".example"],
  } as const;
  const times: Record<string, number[]> = {};
  for (let run = 0; run < at.runs; run++) {
    for (const [view, [hash, there]] of Object.entries(views)) {
      const { page } = await browser.open(at, hash, { before: (page) => watch(page, there) });
      const ms = await page.waitForFunction(() => (window as { shownMs?: number }).shownMs);
      (times[view] ??= []).push((await ms.jsonValue()) ?? NaN);
      await close(page);
    }
  }
  return times;
}

/** Notes when an element is there, in milliseconds since the page was asked for. */
async function watch(page: Page, selector: string): Promise<void> {
  await page.addInitScript((wanted) => {
    const look = (): void => {
      if (document.querySelector(wanted) === null) requestAnimationFrame(look);
      else Object.assign(window, { shownMs: performance.now() });
    };
    requestAnimationFrame(look);
  }, selector);
}

async function pannings(at: Asked): Promise<Record<string, Turn[]>> {
  const losses = lossesOf(POINTS);
  const ours = await openOurs(at, losses);
  const peers = { "Chart.js": false, "Chart.js, decimated": true };
  const turns: Record<string, Turn[]> = { ours: [] };
  const others: [string, Page][] = [];
  for (const [name, decimated] of Object.entries(peers)) {
    others.push([name, await openPeer(at, losses, decimated)]);
    turns[name] = [];
  }
  for (let round = 0; round < at.rounds; round++) {
    await ours.bringToFront();
    turns["ours"]?.push(await ours.evaluate(panOurs, FRAMES));
    for (const [name, page] of others) {
      await page.bringToFront();
      turns[name]?.push(await page.evaluate(panPeer, { frames: FRAMES, points: POINTS }));
    }
  }
  return turns;
}

/** The job's view of the real page, with a loss curve of that length. */
async function openOurs(at: Asked, losses: [number, number][]): Promise<Page> {
  const { page } = await browser.open(at, `#/job/${at.trained_id}`, {
    before: async (page) => {
      await page.route(/\/losses$/, (route) =>
        route.fulfill({ json: { job_id: at.trained_id, losses } }),
      );
    },
  });
  await page.locator(".plot canvas").waitFor();
  await page.getByRole("button", { name: "Closer" }).click();
  return page;
}

/** What is used of Chart.js. */
interface Chart {
  options: { scales: object };
  update: (mode: "none") => void;
}

/** The same line drawn by Chart.js at its fastest: no animation, nothing to parse, no points. */
async function openPeer(at: Asked, losses: [number, number][], decimated: boolean): Promise<Page> {
  const { page } = await browser.open(at, "#/jobs");
  await page.evaluate(readFileSync(CHART_JS, "utf8")); // not as a script: the policy forbids it
  await page.evaluate(
    ([points, fewer]) => {
      const place = document.createElement("div");
      Object.assign(place.style, { width: "1052px", height: "220px", position: "relative" });
      const canvas = document.createElement("canvas");
      place.append(canvas);
      document.body.replaceChildren(place);
      const { Chart: Peer } = window as unknown as {
        Chart: new (canvas: HTMLCanvasElement, config: object) => Chart;
      };
      const data = points.map(([x, y]) => ({ x, y }));
      const chart = new Peer(canvas, {
        type: "line",
        data: { datasets: [{ data, borderWidth: 1.5, borderColor: "#4f7cac", pointRadius: 0 }] },
        options: {
          animation: false,
          parsing: false,
          normalized: true,
          maintainAspectRatio: false,
          events: [],
          scales: { x: { type: "linear" }, y: { type: "linear" } },
          plugins: {
            legend: { display: false },
            decimation: { enabled: fewer, algorithm: "min-max" },
          },
        },
      });
      Object.assign(window, { chart });
    },
    [losses, decimated] as const,
  );
  return page;
}

/** Moves our plot by wheel in every frame, there and back. Runs in the page. */
async function panOurs(frames: number): Promise<Turn> {
  const over = document.querySelector(".plot .u-over");
  if (over === null) throw new Error("There is no plot.");
  const turn: Turn = { frame_ms: [], work_ms: [] };
  let last = await new Promise<number>(requestAnimationFrame);
  for (let i = 0; i < frames; i++) {
    const start = performance.now();
    const deltaX = (i % 60 < 30 ? 1 : -1) * 12;
    over.dispatchEvent(new WheelEvent("wheel", { deltaX, bubbles: true, cancelable: true }));
    await Promise.resolve(); // uPlot draws when the event is over
    turn.work_ms.push(performance.now() - start);
    const now = await new Promise<number>(requestAnimationFrame);
    turn.frame_ms.push(now - last);
    last = now;
  }
  return turn;
}

/** The same with the peer, through the same stretch. Runs in the page. */
async function panPeer({ frames, points }: { frames: number; points: number }): Promise<Turn> {
  const { chart } = window as unknown as { chart: Chart };
  const turn: Turn = { frame_ms: [], work_ms: [] };
  const wide = 0.64 * points;
  let from = 0.18 * points;
  let last = await new Promise<number>(requestAnimationFrame);
  for (let i = 0; i < frames; i++) {
    const start = performance.now();
    from += (i % 60 < 30 ? 1 : -1) * 12 * (wide / 980);
    const x = { type: "linear", min: from, max: from + wide };
    chart.options.scales = { x, y: { type: "linear" } };
    chart.update("none");
    turn.work_ms.push(performance.now() - start);
    const now = await new Promise<number>(requestAnimationFrame);
    turn.frame_ms.push(now - last);
    last = now;
  }
  return turn;
}

/** A noisy curve that falls, always the same. */
function lossesOf(points: number): [number, number][] {
  let seed = 1;
  return Array.from({ length: points }, (_, i) => {
    seed = (seed * 16_807) % 2_147_483_647;
    return [i + 1, 2.5 * Math.exp((-3 * i) / points) + 0.3 + (0.2 * seed) / 2_147_483_647];
  });
}
