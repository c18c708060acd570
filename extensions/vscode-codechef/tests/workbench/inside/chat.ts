import assert from "node:assert/strict";

import * as vscode from "vscode";

import { until } from "../../../../tests/rig/until.js";
import { types } from "./person.js";
import { given, test } from "./runner.js";

interface Answer {
  errorDetails?: { message: string };
  metadata?: {
    threadId?: string;
    waiting?: string | null;
    replies?: string[];
    approvalId?: string;
  };
}

const UNAVAILABLE = "Language model unavailable";

/** Says something in the chat, as a person does, and waits for the end of the answer. */
async function say(query: string): Promise<Answer> {
  const options = { query, blockOnResponse: true };
  return vscode.commands.executeCommand<Answer>("workbench.action.chat.open", options);
}

test("@chef says what is missing before anybody is signed in, and without any model", async () => {
  // The editor hears only some moments after its start that there is a model.
  const said = await until("a model to be known", async () => {
    const message = (await say("@chef hello")).errorDetails?.message;
    return message === UNAVAILABLE ? undefined : message;
  });
  assert.match(said, /token/);
});

test("a person signs in, and gives the gateway's key", async () => {
  const signedIn = vscode.commands.executeCommand("codechef.signIn");
  types(given["token"] ?? "");
  assert.equal(await signedIn, true);
  const keyGiven = vscode.commands.executeCommand("codechef.setGatewayKey");
  types(given["gatewayToken"] ?? "");
  await keyGiven;
});

test("the agents' models can be chosen, and answer through the gateway", async () => {
  const models = await offered();
  assert.ok(models.some(({ id }) => id === "agent/code_review"));
  const model = models.find(({ id }) => id === "agent/feature_dev");
  assert.ok(model);
  assert.ok((await model.countTokens("four letters")) > 0);
  const messages = [vscode.LanguageModelChatMessage.User("Name the defect in function number 1.")];
  let text = "";
  for await (const piece of (await model.sendRequest(messages)).text) text += piece;
  assert.notEqual(text, "");
});

test("@chef answers without any other extension's model", async () => {
  const { errorDetails, metadata } = await say("@chef list the models of feature_dev");
  assert.equal(errorDetails, undefined);
  assert.ok(metadata?.threadId);
});

test("a question of the server is answered in the next turn of the same conversation", async () => {
  await vscode.commands.executeCommand("workbench.action.chat.newChat");
  const asked = await say("@chef /models");
  assert.equal(asked.metadata?.waiting, "answer");
  assert.deepEqual(asked.metadata.replies, ["no"]);
  const answered = await say("@chef feature_dev");
  assert.equal(answered.metadata?.threadId, asked.metadata.threadId);
  assert.equal(answered.metadata?.waiting, null);
});

test("a new chat is a new conversation", async () => {
  await vscode.commands.executeCommand("workbench.action.chat.newChat");
  const first = await say("@chef /models cicd");
  await vscode.commands.executeCommand("workbench.action.chat.newChat");
  const second = await say("@chef /models cicd");
  assert.notEqual(first.metadata?.threadId, second.metadata?.threadId);
});

async function offered(): Promise<vscode.LanguageModelChat[]> {
  return until("the agents' models", async () => {
    const models = await vscode.lm.selectChatModels({ vendor: "codechef" });
    return models.some(({ id }) => id.startsWith("agent/")) ? models : undefined;
  });
}
