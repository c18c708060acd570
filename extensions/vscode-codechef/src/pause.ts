/** Pauses that can be ended early. */
export class Pause {
  private wake: (() => void) | undefined;

  /** Waits for so long, without end where no time is given, unless ended before. */
  async wait(milliseconds: number | undefined, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", wake);
        this.wake = undefined;
        resolve();
      };
      const timer = milliseconds === undefined ? undefined : setTimeout(wake, milliseconds);
      signal.addEventListener("abort", wake);
      this.wake = wake;
    });
  }

  /** Ends the pause that is under way, if there is one. */
  end(): void {
    this.wake?.();
  }
}
