import { isDeepStrictEqual } from "node:util";

import { CancellationTokenSource, Disposable, EventEmitter, type Uri } from "./data.js";

type Severity = "info" | "warning" | "error";

interface Message {
  severity: Severity;
  text: string;
  modal: boolean;
  detail: string;
  buttons: string[];
}

interface Input {
  title?: string;
  prompt?: string;
  value?: string;
  validateInput?: (text: string) => string | undefined;
}

interface Picked {
  label: string;
  description?: string;
  detail?: string;
}

interface PickOptions {
  title?: string;
  placeHolder?: string;
}

/** The person at the editor: what they were shown, and what they do. A test says the latter. */
class Editor {
  messages: Message[] = [];
  inputs: Input[] = [];
  picks: { items: Picked[]; options: PickOptions }[] = [];
  progress: string[] = [];
  opened: string[] = [];
  copied: string[] = [];
  status: string[] = [];
  executed: unknown[][] = [];
  context = new Map<string, unknown>();
  /** The progress notification that is shown, to be cancelled. */
  shown: CancellationTokenSource | undefined;
  /** What they do when it says something. */
  onProgress: () => void = () => undefined;

  /** Which button they press; none by default. */
  onMessage: (message: Message) => string | undefined = () => undefined;
  /** What they write; undefined leaves the box. */
  onInput: (input: Input) => string | undefined = () => undefined;
  /** Which item they pick. */
  onPick: (items: Picked[], options: PickOptions) => Picked | undefined = () => undefined;

  reset(): void {
    Object.assign(this, new Editor());
    screen.trees.clear();
    screen.panels.length = 0;
    screen.statusBar.length = 0;
  }

  /** What they were told, as one text. */
  get said(): string {
    return this.messages.map(({ text, detail }) => [text, detail].join("\n")).join("\n");
  }
}

export const editor = new Editor();

const registered = new Map<string, (...given: unknown[]) => unknown>();

export const commands = {
  registerCommand: (id: string, run: (...given: unknown[]) => unknown): Disposable => {
    if (registered.has(id)) throw new Error(`command '${id}' already exists`);
    registered.set(id, run);
    return new Disposable(() => registered.delete(id));
  },
  executeCommand: (id: string, ...given: unknown[]): Promise<unknown> => {
    editor.executed.push([id, ...given]);
    if (id === "setContext") editor.context.set(String(given[0]), given[1]);
    return Promise.resolve(registered.get(id)?.(...given));
  },
  /** The ids that are registered now: a test compares them with package.json. */
  registered,
};

/** Messages that nobody has answered yet. */
const standing = new Set<{ shown: Message; close: (picked: string | undefined) => void }>();

function message(severity: Severity) {
  return (text: string, ...rest: unknown[]): Promise<string | undefined> => {
    const options = rest.find((one) => typeof one === "object") as
      { modal?: boolean; detail?: string } | undefined;
    const shown = {
      severity,
      text,
      modal: options?.modal ?? false,
      detail: options?.detail ?? "",
      buttons: rest.filter((one): one is string => typeof one === "string"),
    };
    // As the editor does: what stands already is taken away, and shown in its newest place.
    for (const old of [...standing].filter((one) => isDeepStrictEqual(one.shown, shown))) {
      editor.messages.splice(editor.messages.indexOf(old.shown), 1);
      old.close(undefined);
    }
    editor.messages.push(shown);
    return new Promise((resolve) => {
      const one = {
        shown,
        close: (picked: string | undefined): void => {
          standing.delete(one);
          resolve(picked);
        },
      };
      standing.add(one);
      // A person takes their time: what is said meanwhile is said while this one stands.
      setImmediate(() => {
        if (standing.has(one)) one.close(editor.onMessage(shown));
      });
    });
  };
}

class StatusBarItem {
  name = "";
  text = "";
  tooltip: string | undefined;
  command: unknown;
  backgroundColor: unknown;
  visible = false;

  show(): void {
    this.visible = true;
  }

  hide(): void {
    this.visible = false;
  }

  dispose(): void {
    this.visible = false;
  }
}

class OutputChannel {
  text = "";

  constructor(readonly name: string) {}

  append(text: string): void {
    this.text += text;
  }

  appendLine(text: string): void {
    this.text += `${text}\n`;
  }

  clear(): void {
    this.text = "";
  }

  info(text: string): void {
    this.appendLine(text);
  }

  warn(text: string): void {
    this.appendLine(text);
  }

  show(): void {
    editor.opened.push(this.name);
  }

  dispose(): void {
    this.text = "";
  }
}

/** A tree as the editor holds it; a test reads its provider and says whether it is looked at. */
export class TreeView {
  private readonly looked = new EventEmitter<{ visible: boolean }>();
  readonly onDidChangeVisibility = this.looked.event;
  badge: { value: number; tooltip: string } | undefined;
  visible = true;

  constructor(readonly treeDataProvider: unknown) {}

  show(visible: boolean): void {
    this.visible = visible;
    this.looked.fire({ visible });
  }

  dispose(): void {
    this.looked.dispose();
  }
}

/** A tab with a web page; a test speaks for the page. */
export class WebviewPanel {
  private readonly received = new EventEmitter<unknown>();
  private readonly disposed = new EventEmitter<void>();
  readonly onDidDispose = this.disposed.event;
  readonly posted: unknown[] = [];
  revealed = 0;
  readonly webview = {
    html: "",
    options: {} as unknown,
    cspSource: "https://webview.test",
    asWebviewUri: (uri: Uri): Uri => uri,
    onDidReceiveMessage: this.received.event,
    postMessage: (message: unknown): Promise<boolean> => {
      this.posted.push(message);
      return Promise.resolve(true);
    },
  };

  constructor(
    readonly viewType: string,
    public title: string,
  ) {}

  /** What the page says. */
  say(message: unknown): void {
    this.received.fire(message);
  }

  reveal(): void {
    this.revealed += 1;
  }

  dispose(): void {
    this.disposed.fire();
  }
}

/** What is on the screen: a test looks it up. */
export const screen = {
  trees: new Map<string, TreeView>(),
  panels: [] as WebviewPanel[],
  statusBar: [] as StatusBarItem[],
};

export const window = {
  state: { focused: true },
  onDidChangeWindowState: new EventEmitter<{ focused: boolean }>().event,
  showInformationMessage: message("info"),
  showWarningMessage: message("warning"),
  showErrorMessage: message("error"),
  setStatusBarMessage: (text: string): Disposable => {
    editor.status.push(text);
    return new Disposable(() => undefined);
  },
  showInputBox: (input: Input): Promise<string | undefined> => {
    editor.inputs.push(input);
    const text = editor.onInput(input);
    if (text !== undefined) {
      const wrong = input.validateInput?.(text);
      if (wrong !== undefined) throw new Error(`The editor would not take ${text}: ${wrong}`);
    }
    return Promise.resolve(text);
  },
  showQuickPick: async (given: Picked[] | Promise<Picked[]>, options: PickOptions = {}) => {
    const items = await given;
    editor.picks.push({ items, options });
    return editor.onPick(items, options);
  },
  withProgress: async <T>(
    _options: unknown,
    work: (
      progress: { report: (value: { message?: string }) => void },
      token: CancellationTokenSource["token"],
    ) => Promise<T>,
  ): Promise<T> => {
    const source = new CancellationTokenSource();
    editor.shown = source;
    const report = (value: { message?: string }): void => {
      if (value.message === undefined) return;
      editor.progress.push(value.message);
      editor.onProgress();
    };
    try {
      return await work({ report }, source.token);
    } finally {
      editor.shown = undefined;
    }
  },
  createStatusBarItem: (): StatusBarItem => {
    const item = new StatusBarItem();
    screen.statusBar.push(item);
    return item;
  },
  createTreeView: (id: string, { treeDataProvider }: { treeDataProvider: unknown }): TreeView => {
    const view = new TreeView(treeDataProvider);
    screen.trees.set(id, view);
    return view;
  },
  createWebviewPanel: (viewType: string, title: string): WebviewPanel => {
    const panel = new WebviewPanel(viewType, title);
    screen.panels.push(panel);
    return panel;
  },
  registerWebviewPanelSerializer: (): Disposable => new Disposable(() => undefined),
  createOutputChannel: (name: string): OutputChannel => new OutputChannel(name),
};

export const env = {
  openExternal: (uri: Uri): Promise<boolean> => {
    editor.opened.push(uri.toString());
    return Promise.resolve(true);
  },
  clipboard: {
    writeText: (text: string): Promise<void> => {
      editor.copied.push(text);
      return Promise.resolve();
    },
  },
};

export const extensions = {};
