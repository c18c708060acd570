#!/usr/bin/env node
/** A double of the program `chef`: keys and tokens in files of its folder, and a server that asks for them. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const given = process.argv.slice(2);
const read = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : []);

function add(file, one, secret) {
  const kept = read(file);
  if (kept.some(({ name }) => name === one.name)) {
    console.error(`Error: ${one.name} has one already.`);
    process.exit(1);
  }
  writeFileSync(file, JSON.stringify([...kept, { ...one, ...secret }]));
  console.log(JSON.stringify({ ...one, ...secret }));
}

function serve(port) {
  if (existsSync("broken")) {
    console.error("Error: models.yaml cannot be read. Correct it.");
    process.exit(2);
  }
  const server = createServer((request, response) => {
    const token = request.headers.authorization?.replace("Bearer ", "");
    const who = read("tokens.json").find((one) => one.token === token);
    const answer = (status, body) => {
      const type = status < 400 ? "application/json" : "application/problem+json";
      response.writeHead(status, { "Content-Type": type }).end(JSON.stringify(body));
    };
    if (request.url === "/ready") answer(200, { status: "ready", reasons: [] });
    else if (!who)
      answer(401, { type: "urn:x", title: "", status: 401, detail: "Who?", remedy: "" });
    else if (request.url === "/me") answer(200, { name: who.name, role: who.role, may: ["read"] });
    else if (request.url === "/gateway") answer(200, { base_url: "http://127.0.0.1:1/v1" });
    else response.writeHead(200, { "Content-Type": "text/event-stream" }).write(": alive\n\n");
  });
  server.listen(port, "127.0.0.1", () => console.error(`API ready on ${port}`));
}

const [one, two, three, name] = given;
if (one === "serve") serve(Number(given.at(-1)));
else if (three === "list") console.log(JSON.stringify(read("keys.json")));
else if (two === "keys") add("keys.json", { name }, { key: "key-1" });
else if (two === "tokens") add("tokens.json", { name, role: given[5] }, { token: "token-1" });
