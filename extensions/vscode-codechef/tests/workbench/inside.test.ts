import { beforeAll, expect, test } from "vitest";

import { Ground } from "../../../tests/rig/ground.js";
import { runInside } from "./rig/inside.js";

let ground: Ground;
beforeAll(async () => {
  ground = await Ground.make();
  await ground.serve();
});

test("everything holds inside the extension host, against a real server", async () => {
  const results = await runInside(
    { "codechef.apiUrl": ground.url, "codechef.gatewayUrl": ground.gatewayUrl },
    {
      token: ground.ready.tokens.grace,
      gatewayToken: ground.ready.gateway_token,
      examples: ground.ready.examples,
    },
  );
  expect(results.length).toBeGreaterThan(0);
  expect(results.filter(({ error }) => error !== undefined)).toEqual([]);
});
