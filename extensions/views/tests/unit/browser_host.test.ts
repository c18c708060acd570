import { expect, test } from "vitest";

import { browserHost } from "../../src/host/browser.js";

const document = Object.assign(new EventTarget(), { hidden: false });
const location = { hash: "", origin: "http://chef.test" };
const page = Object.assign(new EventTarget(), { document, location, navigator: {} });
const host = browserHost(page as unknown as Window & typeof globalThis);

test("without a clipboard, as on pages that came without TLS, copying fails and throws nothing", async () => {
  await expect(host.copy("text")).rejects.toThrow(TypeError);
});

test("a page is seen unless its tab is hidden", () => {
  expect(host.seen.value).toBe(true);
  for (const hidden of [true, false]) {
    document.hidden = hidden;
    document.dispatchEvent(new Event("visibilitychange"));
    expect(host.seen.value).toBe(!hidden);
  }
});
