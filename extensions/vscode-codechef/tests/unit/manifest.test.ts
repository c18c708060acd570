import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect, test } from "vitest";

import { activate } from "../../src/extension.js";
import { commands, Memento, Secrets, Uri } from "../fakes/vscode.js";

const FOLDER = fileURLToPath(new URL("../../", import.meta.url));

interface Manifest {
  enabledApiProposals?: unknown;
  contributes: {
    commands: { command: string; category: string }[];
    menus: Record<string, { command: string }[]>;
    viewsWelcome: { contents: string }[];
    walkthroughs: { steps: { description: string; media: { image: string } }[] }[];
    configuration: { properties: Record<string, unknown> };
  };
}

const manifest = JSON.parse(readFileSync(`${FOLDER}package.json`, "utf8")) as Manifest;
const declared = manifest.contributes.commands.map(({ command }) => command).sort();

test("every command that is declared is registered, and the other way round", () => {
  const subscriptions: { dispose: () => unknown }[] = [];
  activate({
    subscriptions,
    secrets: new Secrets(),
    workspaceState: new Memento(),
    globalState: new Memento(),
    extension: { packageJSON: manifest },
    extensionUri: Uri.file("/extension"),
  } as never);
  const ours = [...commands.registered.keys()].filter((id) => id.startsWith("codechef."));
  for (const one of subscriptions) one.dispose();
  expect(ours.sort()).toEqual(declared);
});

test("menus and welcomes name commands that there are, all in one category", () => {
  const { menus, viewsWelcome } = manifest.contributes;
  const inMenus = Object.values(menus).flatMap((items) => items.map(({ command }) => command));
  const inWelcomes = viewsWelcome.flatMap(({ contents }) =>
    [...contents.matchAll(/command:([\w.]+)/g)].map(([, id = ""]) => id),
  );
  expect(declared).toEqual(expect.arrayContaining([...inMenus, ...inWelcomes]));
  const categories = new Set(manifest.contributes.commands.map(({ category }) => category));
  expect([...categories]).toEqual(["code/chef ModelOps"]);
});

test("a walkthrough names commands of ours or the editor's, and shows pictures that there are", () => {
  const steps = manifest.contributes.walkthroughs.flatMap((one) => one.steps);
  const named = steps.flatMap(({ description }) =>
    [...description.matchAll(/command:(codechef\.\w+)/g)].map(([, id = ""]) => id),
  );
  expect(named.length).toBeGreaterThan(0);
  expect(declared).toEqual(expect.arrayContaining(named));
  for (const { media } of steps) expect(existsSync(`${FOLDER}${media.image}`)).toBe(true);
});

test("no setting holds a secret, and no proposed API is used", () => {
  expect(manifest.enabledApiProposals).toBeUndefined();
  for (const name of Object.keys(manifest.contributes.configuration.properties)) {
    expect(name).not.toMatch(/secret|password|(access|api|gateway)(token|key)|\.(token|key)$/i);
  }
});

test("the package takes nothing in that is not named", () => {
  const [first, ...rest] = readFileSync(`${FOLDER}.vscodeignore`, "utf8").trim().split("\n");
  expect(first).toBe("**");
  expect(rest.every((line) => line.startsWith("!"))).toBe(true);
});
