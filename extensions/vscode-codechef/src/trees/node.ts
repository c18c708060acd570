import * as vscode from "vscode";

import { oneLine } from "../markdown.js";

/** One line of a tree. */
export interface Node {
  item: vscode.TreeItem;
  /** What commands get that are run on it. */
  given?: Readonly<Record<string, unknown>>;
  children?: () => Node[] | Promise<Node[]>;
}

interface Line {
  /** Stays the same while the line changes, so that it stays open and selected. */
  id: string;
  label: string;
  description?: string;
  tooltip?: string;
  icon: string;
  color?: string;
  /** Names the kind of line for the menus of package.json. */
  context: string;
  given?: Readonly<Record<string, unknown>>;
  /** The view that opens when the line is picked. */
  opens?: { view: string; params: Record<string, string> };
  children?: () => Node[] | Promise<Node[]>;
}

const { Collapsed, None } = vscode.TreeItemCollapsibleState;

export function node(line: Line): Node {
  const { id, label, description, tooltip, icon, color, context, given, opens, children } = line;
  const item = new vscode.TreeItem(oneLine(label), children ? Collapsed : None);
  item.id = id;
  item.iconPath = new vscode.ThemeIcon(icon, color ? new vscode.ThemeColor(color) : undefined);
  item.contextValue = context;
  // The editor reads a string as plain text: nothing of the server becomes markup.
  item.tooltip = tooltip ?? [label, description].filter(Boolean).join("\n");
  if (description !== undefined) item.description = oneLine(description);
  if (opens) item.command = { command: "codechef.openView", title: "Open", arguments: [opens] };
  return { item, ...(given ? { given } : {}), ...(children ? { children } : {}) };
}

/** A tree whose lines are made anew whenever something says so. */
export class Tree implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.changed.event;

  constructor(private readonly roots: () => Node[]) {}

  refresh(): void {
    this.changed.fire();
  }

  getTreeItem(element: Node): vscode.TreeItem {
    return element.item;
  }

  getChildren(element?: Node): Node[] | Promise<Node[]> {
    return element ? (element.children?.() ?? []) : this.roots();
  }

  dispose(): void {
    this.changed.dispose();
  }
}
