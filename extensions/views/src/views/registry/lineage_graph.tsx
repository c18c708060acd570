/** What was trained from what, drawn; arrow keys go from version to version. */

import type { ModelVersion } from "@codechef/client";
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";

import { Badge, toneOf } from "../../parts/index.js";
import { lineageOf, type Place } from "./lineage.js";

const WIDE = 190;
const HIGH = 64;
const BOX = { width: 150, height: 48 };

interface GraphGiven {
  history: ModelVersion[];
  chosen: string | undefined;
  choose: (version: string) => void;
}

export function LineageGraph({ history, chosen, choose }: GraphGiven): JSX.Element {
  const places = useMemo(() => lineageOf(history), [history]);
  const box = useRef<HTMLDivElement>(null);
  const width = WIDE * (1 + Math.max(0, ...places.map(({ column }) => column)));
  const height = HIGH * (1 + Math.max(0, ...places.map(({ row }) => row)));
  const pressed = (event: KeyboardEvent, place: Place): void => {
    const next = neighbour(places, place, event.key);
    if (next === undefined) return;
    event.preventDefault();
    const buttons = box.current?.querySelectorAll("button");
    buttons?.item(places.indexOf(next)).focus();
  };
  return (
    <div
      class="lineage scroll"
      role="group"
      aria-label="Lineage: what was trained from what"
      ref={box}
    >
      <div class="lineage-ground" style={{ width: `${width}px`, height: `${height}px` }}>
        <svg width={width} height={height} aria-hidden="true">
          {places.map((place) =>
            place.parent === undefined ? null : (
              <path key={place.version.version} d={edge(place.parent, place)} />
            ),
          )}
        </svg>
        {places.map((place) => {
          const { version, deployment_status, parent_version } = place.version;
          return (
            <button
              key={version}
              type="button"
              class="lineage-version"
              style={{ left: `${WIDE * place.column}px`, top: `${HIGH * place.row}px` }}
              aria-pressed={version === chosen}
              title={version}
              onClick={() => choose(version)}
              onKeyDown={(event) => pressed(event, place)}
            >
              <bdi>{version}</bdi>{" "}
              <Badge tone={toneOf(deployment_status)}>
                {deployment_status.replaceAll("_", " ")}
              </Badge>
              {parent_version === null ? null : (
                <span class="unseen"> trained from {parent_version}</span>
              )}
            </button>
          );
        })}
      </div>
    </div>
  );
}

function edge(from: Place, to: Place): string {
  const [x1, y1] = [WIDE * from.column + BOX.width, HIGH * from.row + BOX.height / 2];
  const [x2, y2] = [WIDE * to.column, HIGH * to.row + BOX.height / 2];
  const middle = (x1 + x2) / 2;
  return `M${x1},${y1} C${middle},${y1} ${middle},${y2} ${x2},${y2}`;
}

function neighbour(places: Place[], place: Place, key: string): Place | undefined {
  switch (key) {
    case "ArrowLeft":
      return place.parent;
    case "ArrowRight":
      return place.children[0];
    case "ArrowUp":
    case "ArrowDown": {
      const step = key === "ArrowUp" ? -1 : 1;
      const column = places
        .filter((one) => one.column === place.column)
        .sort((a, b) => a.row - b.row);
      return column[column.indexOf(place) + step];
    }
    default:
      return undefined;
  }
}
