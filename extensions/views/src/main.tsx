import "./styles.css";

import { render } from "preact";

import { App } from "./app.js";
import { browserHost } from "./host/browser.js";
import { type EditorApi, webviewHost } from "./host/webview.js";
import { restoreTheme } from "./theme.js";

/** In a webview the editor puts this into the page. */
declare function acquireVsCodeApi(): EditorApi;

const root = document.getElementById("codechef");
if (root === null) throw new Error("The page has no element `codechef`.");
const inEditor = typeof acquireVsCodeApi === "function";
if (!inEditor) restoreTheme();
// In a webview the element names the server, for messages.
const host = inEditor
  ? webviewHost(window, acquireVsCodeApi(), root.dataset["server"] ?? "")
  : browserHost(window);
render(<App host={host} />, root);
