/** Where the versions of an agent stand in a drawing of what was trained from what: pure. */

import type { ModelVersion } from "@codechef/client";

/** A version's place: how many trainings from its root, and in which row. */
export interface Place {
  version: ModelVersion;
  column: number;
  row: number;
  parent: Place | undefined;
  children: Place[];
}

/**
 * Returns the places of versions, in the order in which they are read: a parent before its children.
 *
 * A first child stands in its parent's row. A version whose parent is not known, or that descends
 * from itself in a file edited by hand, is a root.
 */
export function lineageOf(history: readonly ModelVersion[]): Place[] {
  const places = new Map<string, Place>();
  for (const version of history) {
    places.set(version.version, { version, column: 0, row: 0, parent: undefined, children: [] });
  }
  const roots: Place[] = [];
  for (const place of places.values()) {
    const parent = places.get(place.version.parent_version ?? "");
    if (parent === undefined || descends(parent, place)) roots.push(place);
    else {
      place.parent = parent;
      parent.children.push(place);
    }
  }
  const ordered: Place[] = [];
  let rows = 0;
  const visit = (place: Place, column: number, row: number): void => {
    place.column = column;
    place.row = row;
    ordered.push(place);
    byAge(place.children).forEach((child, i) => visit(child, column + 1, i === 0 ? row : rows++));
  };
  for (const root of byAge(roots)) visit(root, 0, rows++);
  return ordered;
}

function descends(place: Place, from: Place): boolean {
  for (let one: Place | undefined = place; one !== undefined; one = one.parent) {
    if (one === from) return true;
  }
  return false;
}

/** Oldest first; as the registry keeps them where nobody knows when they were trained. */
function byAge(places: Place[]): Place[] {
  const time = ({ version }: Place): string => version.trained_at ?? "";
  return [...places].sort((a, b) => time(a).localeCompare(time(b)));
}
