import { expect, test } from "vitest";

import { Floor, type Piece } from "../../../src/chat/floor.js";

/** A generator of numbers below `most` that is the same for a seed (Park and Miller). */
function dice(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % most;
  };
}

interface Told {
  agent: string;
  id: string;
  text: string;
  whole: boolean;
}

/** Several agents that write at the same time, each its messages in order, in pieces. */
function writers(roll: (most: number) => number): { told: Told[]; texts: string[] } {
  const texts: string[] = [];
  const queues = Array.from({ length: 1 + roll(3) }, (_, agent) =>
    Array.from({ length: 1 + roll(3) }, (_unused, message) => {
      const id = `m${agent}.${message}`;
      const text = `<${id}:${"x".repeat(roll(9))}>`;
      texts.push(text);
      const tokens = roll(3) === 0 ? [] : (text.match(/.{1,4}/g) ?? []);
      const pieces = tokens.map((piece) => ({ agent: `a${agent}`, id, text: piece, whole: false }));
      // What an agent says before it uses a tool comes in pieces alone.
      const bare = pieces.length > 0 && message === 0 && roll(2) === 0;
      return bare ? pieces : [...pieces, { agent: `a${agent}`, id, text, whole: true }];
    }).flat(),
  );
  const told: Told[] = [];
  while (queues.some((queue) => queue.length > 0)) {
    const next = queues[roll(queues.length)]?.shift();
    if (next !== undefined) told.push(next);
  }
  return { told, texts };
}

test("whatever the order, each text is shown once, unbroken, and none is lost", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const { told, texts } = writers(dice(seed));
    const floor = new Floor();
    const pieces: Piece[] = [];
    for (const { agent, id, text, whole } of told) {
      pieces.push(...(whole ? floor.message(agent, id, text) : floor.token(agent, id, text)));
    }
    pieces.push(...floor.ended());
    const all = pieces.map(({ text }) => text).join("");
    expect(all.match(/<[^<>]*>/g)?.sort(), `seed ${seed}`).toEqual(texts.sort());
    expect(all.length, `seed ${seed}`).toBe(texts.join("").length);
    expect(pieces.filter(({ begins }) => begins)).toHaveLength(texts.length);
  }
});

test("who has the floor is shown as it comes", () => {
  const floor = new Floor();
  expect(floor.token("a", "m1", "Hel")).toEqual([{ agent: "a", text: "Hel", begins: true }]);
  expect(floor.token("b", "m2", "World")).toEqual([]);
  expect(floor.token("a", "m1", "lo")).toEqual([{ agent: "a", text: "lo", begins: false }]);
  expect(floor.message("a", "m1", "Hello")).toEqual([{ agent: "b", text: "World", begins: true }]);
});

test("a message that is not what its pieces were is shown as it is in the end", () => {
  const floor = new Floor();
  floor.token("a", "m1", "First tr");
  expect(floor.message("a", "m1", "Second try")).toEqual([
    { agent: "a", text: "\n\nSecond try", begins: false },
  ]);
});
