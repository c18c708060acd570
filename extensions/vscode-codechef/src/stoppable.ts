import type * as vscode from "vscode";

/** Does what a cancellation of the editor's stops; throws what the stopped work throws. */
export async function stoppable<T>(
  token: vscode.CancellationToken,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const stopping = new AbortController();
  const listening = token.onCancellationRequested(() => stopping.abort());
  if (token.isCancellationRequested) stopping.abort();
  try {
    return await work(stopping.signal);
  } finally {
    listening.dispose();
  }
}
