import { once } from "node:events";
import { createInterface } from "node:readline";

import { beforeEach, expect, test, vi } from "vitest";

let endings: typeof import("../rig/endings.js");
let Running: (typeof import("../rig/processes.js"))["Running"];
beforeEach(async () => {
  vi.resetModules(); // as in a file of its own
  endings = await import("../rig/endings.js");
  ({ Running } = await import("../rig/processes.js"));
});

test("what was begun ends, the last first, also where the end of something fails", async () => {
  const ended: number[] = [];
  for (const number of [1, 2, 3]) {
    endings.atEnd(() => {
      ended.push(number);
      return number === 2 ? Promise.reject(new Error("stuck")) : Promise.resolve();
    });
  }
  await expect(endings.endAll()).rejects.toMatchObject({ errors: [new Error("stuck")] });
  expect(ended).toEqual([3, 2, 1]);
});

test("what a set-up begins after its file has ended is ended at once", async () => {
  await endings.endAll();
  const end = vi.fn(() => Promise.resolve());
  endings.atEnd(end);
  expect(end).toHaveBeenCalledOnce();
});

test.each([
  ["that runs", "wait"],
  ["that has ended", "exit"],
])("nothing outlives the file of what a process %s has started", async (_how, then) => {
  const { child } = Running.start("endings", "sh", ["-c", `sleep 60 & echo begun; ${then}`]);
  const lines = createInterface({ input: child.stdout ?? process.stdin });
  await once(lines, "line");
  if (then === "exit" && child.exitCode === null) await once(child, "exit");
  const closed = once(child, "close"); // when nobody is left who could print
  await endings.endAll();
  await closed;
});
