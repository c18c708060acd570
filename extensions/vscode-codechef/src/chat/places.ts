/** What a result points to: pages, and files of the workspace. */

import { normalize } from "node:path";

import * as vscode from "vscode";

/** Where something is to be seen. */
export interface Place {
  uri: vscode.Uri;
  title: string;
}

/**
 * Returns the pages and files that a result names, in its order.
 *
 * Only http and https, and only files inside the workspace: what a server says opens nothing else.
 */
export function placesIn(result: object): Place[] {
  return Object.entries(result).flatMap(([name, value]) => {
    if (typeof value === "string") {
      const uri = uriOf(value);
      return uri === undefined ? [] : [{ uri, title: name.replaceAll("_", " ") }];
    }
    // A list holds what belongs to its members, not to the result.
    return isRecord(value) ? placesIn(value) : [];
  });
}

/** Returns the workspace's models.yaml, where an agent's traffic is split; undefined without. */
export async function modelsYaml(): Promise<vscode.Uri | undefined> {
  for (const folder of vscode.workspace.workspaceFolders ?? []) {
    const uri = vscode.Uri.joinPath(folder.uri, "config", "agents", "models.yaml");
    try {
      await vscode.workspace.fs.stat(uri);
      return uri;
    } catch (error) {
      if (!(error instanceof vscode.FileSystemError)) throw error;
    }
  }
  return undefined;
}

function uriOf(text: string): vscode.Uri | undefined {
  if (/^https?:\/\/[^\s]+$/i.test(text)) return vscode.Uri.parse(text, true);
  if (!text.startsWith("/")) return undefined;
  const uri = vscode.Uri.file(normalize(text));
  return vscode.workspace.getWorkspaceFolder(uri) === undefined ? undefined : uri;
}

function isRecord(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
