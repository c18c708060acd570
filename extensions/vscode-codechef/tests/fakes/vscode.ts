/** The parts of the editor's API that unit tests need, written by hand. */

export * from "./chat.js";
export * from "./data.js";
export { commands, editor, env, extensions, screen, WebviewPanel, window } from "./window.js";
export { settings, workspace } from "./workspace.js";
