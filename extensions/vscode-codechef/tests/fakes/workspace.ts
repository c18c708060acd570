import { EventEmitter, type Uri } from "./data.js";

/** What the settings hold; a test writes to it. */
export const settings = new Map<string, unknown>();

const changed = new EventEmitter<{ affectsConfiguration: (key: string) => boolean }>();

export const workspace = {
  isTrusted: true,
  workspaceFolders: [] as { uri: Uri; name: string }[],
  onDidChangeConfiguration: changed.event,
  onDidGrantWorkspaceTrust: new EventEmitter<void>().event,
  getConfiguration: (section: string) => ({
    get: <T>(key: string, otherwise: T): T =>
      (settings.get(`${section}.${key}`) as T | undefined) ?? otherwise,
    inspect: (key: string) => ({ globalValue: settings.get(`${section}.${key}`) }),
    update: (key: string, value: unknown): Promise<void> => {
      settings.set(`${section}.${key}`, value);
      changed.fire({ affectsConfiguration: (asked) => asked === `${section}.${key}` });
      return Promise.resolve();
    },
  }),
};
