import { vi } from "vitest";

/** Looks until there is no complaint; gives up long after the busiest machine would have done. */
export const eventually = <T>(look: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(look, { timeout: 30_000 });
