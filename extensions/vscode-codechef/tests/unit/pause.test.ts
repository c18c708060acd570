import { getEventListeners } from "node:events";

import { expect, test } from "vitest";

import { Pause } from "../../src/pause.js";

test("a pause that is over leaves nothing behind with its signal", async () => {
  const { signal } = new AbortController();
  const pause = new Pause();
  await pause.wait(1, signal);
  const long = pause.wait(undefined, signal);
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  pause.end();
  await long;
  expect(getEventListeners(signal, "abort")).toEqual([]);
});
