/** Lines over time or steps: drawn, moved by hand, and told in numbers to who does not see them. */

import "uplot/dist/uPlot.min.css";
import "./plots.css";

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { LinePlotGiven } from "./description.js";
import { CLOSER, Drawing, STEP } from "./drawing.js";
import { Legend } from "./legend.js";
import { Numbers } from "./numbers.js";
import { onTheme } from "./theme.js";

/** What each key does. */
const KEYS: Record<string, (drawing: Drawing) => void> = {
  ArrowLeft: (drawing) => drawing.pan(-STEP),
  ArrowRight: (drawing) => drawing.pan(STEP),
  Home: (drawing) => drawing.showEnd("first"),
  End: (drawing) => drawing.showEnd("last"),
  "+": (drawing) => drawing.zoom(CLOSER),
  "=": (drawing) => drawing.zoom(CLOSER),
  "-": (drawing) => drawing.zoom(1 / CLOSER),
  "0": (drawing) => drawing.showWhole(),
};

const HINT = "Arrow keys move along, + and - zoom, 0 shows the whole.";

export function LinePlot(given: LinePlotGiven): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [drawing, setDrawing] = useState<Drawing>();
  const [point, setPoint] = useState<number>();
  const [moved, setMoved] = useState("");
  const latest = useRef(given);
  latest.current = given;

  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    let made: Drawing | undefined;
    const sized = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      if (width === 0) return; // nothing to draw on
      if (made !== undefined) {
        made.resize(width);
        return;
      }
      made = new Drawing(element, latest.current, {
        width,
        onPoint: setPoint,
        onMoved: (shown, whole) => {
          const write = writing(latest.current);
          const [from, to, all] = [write(shown.from), write(shown.to), write(whole.to)];
          setMoved(`Shown: ${from} to ${to}, of up to ${all}.`);
        },
      });
      setDrawing(made);
    });
    sized.observe(element);
    const still = onTheme(() => made?.recolour());
    return () => {
      sized.disconnect();
      still();
      made?.destroy();
    };
  }, []);

  const drawn = useRef(given);
  useEffect(() => {
    if (drawing !== undefined && drawn.current !== given) drawing.update(given);
    drawn.current = given;
  });

  const pressed = (event: KeyboardEvent): void => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : KEYS[event.key];
    if (drawing === undefined || act === undefined) return;
    event.preventDefault();
    act(drawing);
  };

  return (
    <figure class="plot">
      <figcaption>
        <span class="plot-title">{given.title}</span>
        <span class="plot-unit">{given.y.label}</span>
        {drawing === undefined ? null : <Buttons drawing={drawing} title={given.title} />}
      </figcaption>
      <Legend
        given={given}
        point={point}
        write={writing(given)}
        onToggle={(entry, visible) => drawing?.toggle(entry, visible)}
      />
      <div
        class="plot-area"
        role="group"
        aria-roledescription="plot"
        aria-label={`${given.title}: ${given.y.label} by ${given.x.label}. ${HINT}`}
        tabIndex={0}
        onKeyDown={pressed}
        ref={place}
      />
      <div class="plot-axis">{given.x.label}</div>
      <p class="unseen" role="status">
        {moved}
      </p>
      <Numbers given={given} write={writing(given)} />
    </figure>
  );
}

function Buttons({ drawing, title }: { drawing: Drawing; title: string }): JSX.Element {
  return (
    <span class="plot-buttons" role="group" aria-label={`Zoom: ${title}`}>
      <button type="button" aria-label="Closer" onClick={() => drawing.zoom(CLOSER ** 2)}>
        +
      </button>
      <button type="button" aria-label="Further" onClick={() => drawing.zoom(1 / CLOSER ** 2)}>
        −
      </button>
      <button type="button" aria-label="Whole" onClick={() => drawing.showWhole()}>
        ↔
      </button>
    </span>
  );
}

/** How a place on the horizontal axis is written. */
function writing({ x }: LinePlotGiven): (value: number) => string {
  if (x.write !== undefined) return x.write;
  if (x.time === true) return (seconds) => new Date(seconds * 1000).toLocaleString();
  return (value) => value.toLocaleString(undefined, { maximumFractionDigits: 2 });
}
