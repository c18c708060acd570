import { oneLine } from "./markdown.js";

/**
 * Returns text of the server as notifications, pickers and prompts may show it, on one line: they
 * would make links of `[…](…)`, also such that run commands, and pictures of `$(…)`.
 */
export function plain(text: string): string {
  return oneLine(text).replaceAll("](", "] (").replaceAll("$(", "$ (");
}
