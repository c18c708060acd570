import { expect, inject, test } from "vitest";

const LIMIT = 300_000;

test("script and style sheet together are under 300 kB as they are served", async () => {
  const { url } = inject("installation");
  const page = await (await fetch(`${url}/`)).text();
  const assets = [...page.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map(
    ([, path]) => path ?? "",
  );
  expect(assets).toHaveLength(2);
  let bytes = 0;
  for (const path of assets) {
    const response = await fetch(url + path, { headers: { "Accept-Encoding": "gzip" } });
    expect(response.headers.get("content-encoding")).toBe("gzip");
    bytes += Number(response.headers.get("content-length"));
    await response.body?.cancel();
  }
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(LIMIT);
});
