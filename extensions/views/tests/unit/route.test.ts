import type { Route } from "@codechef/client";
import { expect, test } from "vitest";

import { fromHash, HOME, toHash } from "../../src/route.js";

const ROUTES: [Route, string][] = [
  [{ view: "overview", params: {} }, "#/overview"],
  [{ view: "rollout", params: { rollout_id: "ro_1" } }, "#/rollout/ro_1"],
  [{ view: "rollouts", params: { agent: "docs" } }, "#/rollouts?agent=docs"],
  [{ view: "versions", params: { agent: "d", a: "1", b: "2" } }, "#/versions?agent=d&a=1&b=2"],
  [{ view: "job", params: { job_id: "a/b ?#" } }, "#/job/a%2Fb%20%3F%23"],
];

test.each(ROUTES)("the address of %o is %s, and leads back to it", (route, hash) => {
  expect(toHash(route)).toBe(hash);
  expect(fromHash(hash)).toEqual(route);
});

test.each(["", "#", "#/nowhere", "#/job", "#/job/", "#/job/%zz", "#/job/a/b", "#/overview/x"])(
  "the address %j leads to the overview",
  (hash) => {
    expect(fromHash(hash)).toEqual(HOME);
  },
);
