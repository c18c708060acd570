/** The editor's chat and its language models, as extensions see them. */

import { Disposable, EventEmitter, type Uri } from "./data.js";

export enum ChatResultFeedbackKind {
  Unhelpful = 0,
  Helpful = 1,
}

export enum LanguageModelChatMessageRole {
  User = 1,
  Assistant = 2,
}

export enum LanguageModelChatToolMode {
  Auto = 1,
  Required = 2,
}

export class LanguageModelTextPart {
  constructor(readonly value: string) {}
}

export class LanguageModelToolCallPart {
  constructor(
    readonly callId: string,
    readonly name: string,
    readonly input: object,
  ) {}
}

export class LanguageModelToolResultPart {
  constructor(
    readonly callId: string,
    readonly content: unknown[],
  ) {}
}

export class LanguageModelToolResult {
  constructor(readonly content: LanguageModelTextPart[]) {}
}

/** An error of a language model; its code is the name of the function that made it. */
export class LanguageModelError extends Error {
  code = "Unknown";

  static NoPermissions(message?: string): LanguageModelError {
    return made("NoPermissions", message);
  }

  static Blocked(message?: string): LanguageModelError {
    return made("Blocked", message);
  }

  static NotFound(message?: string): LanguageModelError {
    return made("NotFound", message);
  }
}

function made(code: string, message: string | undefined): LanguageModelError {
  return Object.assign(new LanguageModelError(message), { code });
}

export class MarkdownString {
  isTrusted?: boolean;
  supportHtml?: boolean;

  constructor(readonly value = "") {}
}

interface Command {
  command: string;
  title: string;
  arguments?: unknown[];
}

type Part =
  | { kind: "markdown"; text: string }
  | { kind: "progress"; text: string }
  | { kind: "reference"; text: string }
  | { kind: "button"; command: Command };

/** What a participant has said, in order. */
export class ChatStream {
  readonly parts: Part[] = [];

  markdown(value: string | MarkdownString): void {
    if (typeof value !== "string") throw new Error("Text of others is never more than a string.");
    this.parts.push({ kind: "markdown", text: value });
  }

  progress(text: string): void {
    this.parts.push({ kind: "progress", text });
  }

  reference(uri: Uri): void {
    this.parts.push({ kind: "reference", text: uri.toString() });
  }

  button(command: Command): void {
    this.parts.push({ kind: "button", command });
  }

  /** What the answer says. */
  get text(): string {
    return this.all("markdown").join("");
  }

  all(kind: "markdown" | "progress" | "reference"): string[] {
    return this.parts.flatMap((part) => (part.kind === kind ? [part.text] : []));
  }

  get buttons(): Command[] {
    return this.parts.flatMap((part) => (part.kind === "button" ? [part.command] : []));
  }
}

/** A participant as the editor holds it. */
export class Participant {
  iconPath: unknown;
  followupProvider: unknown;
  readonly feedback = new EventEmitter<unknown>();
  readonly onDidReceiveFeedback = this.feedback.event;

  constructor(
    readonly id: string,
    readonly requestHandler: (...given: unknown[]) => unknown,
  ) {
    chat.participants.set(id, this);
  }

  dispose(): void {
    chat.participants.delete(this.id);
  }
}

export const chat = {
  participants: new Map<string, Participant>(),
  createChatParticipant: (id: string, handler: (...given: unknown[]) => unknown): Participant =>
    new Participant(id, handler),
};

export const lm = {
  registered: new Map<string, unknown>(),
  providers: new Map<string, unknown>(),
  /** The vendors whose models were asked for. */
  asked: [] as unknown[],
  registerTool: (name: string, tool: unknown): Disposable => {
    lm.registered.set(name, tool);
    return new Disposable(() => lm.registered.delete(name));
  },
  registerLanguageModelChatProvider: (vendor: string, provider: unknown): Disposable => {
    lm.providers.set(vendor, provider);
    return new Disposable(() => lm.providers.delete(vendor));
  },
  selectChatModels: (selector: unknown): Promise<unknown[]> => {
    lm.asked.push(selector);
    return Promise.resolve([]);
  },
};
