/** A drawn plot: uPlot on a canvas, moved by wheel, drag and touch. */

import uPlot from "uplot";

import {
  type Axis,
  columnsOf,
  type Columns,
  type LinePlotGiven,
  type Series,
} from "./description.js";
import { kept, panned, type Range, same, wholeOf, zoomed } from "./range.js";
import { type Colours, coloursOf } from "./theme.js";

/** One notch of a wheel, one press of a key. */
export const CLOSER = 0.8;
export const STEP = 0.2;

// uPlot's enums are declared only; at run time there are numbers.
// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment
const LOGARITHMIC = 3 as uPlot.Scale.Distr.Logarithmic;
const TRANSPARENT = "transparent";
/** Steps of an axis on which there is nothing between whole numbers. */
const WHOLE = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap((power) =>
  [1, 2, 5].map((step) => step * 10 ** power),
);
/** As uPlot's own, with hours from 0 to 24. Columns: step in seconds, then what is written by default, when a year begins, …, mode. */
const TIMES: uPlot.Axis.Values = [
  [365 * 86_400, "{YYYY}", null, null, null, null, null, null, 1],
  [28 * 86_400, "{MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [86_400, "{D} {MMM}", "\n{YYYY}", null, null, null, null, null, 1],
  [60, "{HH}:{mm}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{D} {MMM} {YYYY}", null, "\n{D} {MMM}", null, null, null, 1],
];

export interface DrawingOptions {
  width: number;
  /** Told which of the values the pointer is at. */
  onPoint: (index: number | undefined) => void;
  /** Told which part is shown when a person has moved it. */
  onMoved: (shown: Range, whole: Range) => void;
}

export class Drawing {
  private plot: uPlot;
  private columns: Columns;
  private colours: Colours;
  private whole: Range;
  private shown: Range;
  private readonly hidden = new Set<number>();

  constructor(
    private readonly place: HTMLElement,
    private given: LinePlotGiven,
    private readonly options: DrawingOptions,
  ) {
    this.columns = columnsOf(given);
    this.colours = coloursOf(place);
    this.whole = this.shown = wholeOf(given.x.values, marked(given));
    this.plot = this.draw(options.width);
  }

  /** Shows newer numbers, and of them what was shown before. */
  update(given: LinePlotGiven): void {
    const whole = wholeOf(given.x.values, marked(given));
    this.shown = kept(this.shown, this.whole, whole);
    this.whole = whole;
    const before = shape(this.given, this.columns);
    this.given = given;
    this.columns = columnsOf(given);
    if (shape(given, this.columns) === before) {
      this.plot.batch(() => {
        this.plot.setData(this.columns.data, false);
        this.plot.setScale("x", limits(this.shown));
      });
    } else {
      const { width } = this.plot;
      this.plot.destroy();
      this.plot = this.draw(width);
    }
  }

  zoom(factor: number, at = (this.shown.from + this.shown.to) / 2): void {
    this.show(zoomed(this.shown, this.whole, factor, at));
  }

  pan(share: number): void {
    this.show(panned(this.shown, this.whole, share));
  }

  showWhole(): void {
    this.show(this.whole);
  }

  showEnd(end: "first" | "last"): void {
    const share = (this.whole.to - this.whole.from) / (this.shown.to - this.shown.from);
    this.pan(end === "first" ? -share : share);
  }

  /** Shows or hides what an entry of the legend stands for. */
  toggle(entry: number, visible: boolean): void {
    if (visible) this.hidden.delete(entry);
    else this.hidden.add(entry);
    this.columns.series.forEach((one, i) => {
      if (one.entry === entry) this.plot.setSeries(i + 1, { show: visible });
    });
  }

  /** Takes the colours that hold now. */
  recolour(): void {
    this.colours = coloursOf(this.place);
    this.plot.redraw(false);
  }

  resize(width: number): void {
    if (width !== this.plot.width) this.plot.setSize({ width, height: this.plot.height });
  }

  destroy(): void {
    this.plot.destroy();
  }

  private show(shown: Range): void {
    if (same(shown, this.shown)) return;
    this.shown = shown;
    this.plot.setScale("x", limits(shown));
    this.options.onMoved(shown, this.whole);
  }

  private draw(width: number): uPlot {
    const { x, y, height = 220 } = this.given;
    const { columns } = this;
    const family = getComputedStyle(this.place).fontFamily;
    const axis = ({ write, whole }: Axis, filter?: uPlot.Axis.Filter): uPlot.Axis => ({
      stroke: () => this.colours.text,
      font: `11px ${family}`,
      grid: { stroke: () => this.colours.grid, width: 1, ...(filter ? { filter } : {}) },
      ticks: { show: false },
      ...(write === undefined ? {} : { values: (_plot, splits) => splits.map(write) }),
      ...(whole === true ? { incrs: WHOLE } : {}),
    });
    const plot = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 7 } },
        scales: {
          x: { time: x.time ?? false, ...limits(this.shown) },
          y: { ...(y.log === true ? { distr: LOGARITHMIC } : { range: roomFor(y) }) },
        },
        padding: [8, 16, 0, 0],
        axes: [
          {
            ...axis(x),
            size: x.time === true ? 42 : 28,
            ...(x.time === true ? { values: TIMES } : {}),
          },
          { ...axis(y, y.log === true ? powersOfTen : undefined), size: 56 },
        ],
        series: [{}, ...columns.series.map((one) => this.seriesOf(one))],
        bands: columns.bands.map(({ series }) => ({
          series,
          fill: () => withAlpha(this.colourOf(columns.series[series[0] - 1]), 0.18),
        })),
        hooks: {
          drawClear: [(drawn) => this.drawMarks(drawn)],
          setCursor: [({ cursor }) => this.options.onPoint(cursor.idx ?? undefined)],
        },
      },
      columns.data,
      this.place,
    );
    this.listen(plot.over);
    return plot;
  }

  private seriesOf(one: Series): uPlot.Series {
    const edge = one.kind === "edge";
    return {
      show: !this.hidden.has(one.entry),
      stroke: () => (edge ? TRANSPARENT : this.colourOf(one)),
      width: edge ? 0 : 1.5,
      spanGaps: one.joined,
      ...(one.dashed ? { dash: [6, 4] } : {}),
      points: one.kind === "line" ? { size: 4, space: 24 } : { show: false },
    };
  }

  private colourOf(one: Series | undefined): string {
    if (one === undefined || one.kind === "bound") return this.colours.bound;
    return this.colours.lines[one.colour % this.colours.lines.length] ?? this.colours.text;
  }

  private drawMarks(plot: uPlot): void {
    const { ctx, bbox } = plot;
    const { marks = [] } = this.given;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = this.colours.mark;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { x } of marks) {
      if (x < this.shown.from || x > this.shown.to) continue;
      const left = Math.round(plot.valToPos(x, "x", true));
      ctx.beginPath();
      ctx.moveTo(left, bbox.top);
      ctx.lineTo(left, bbox.top + bbox.height);
      ctx.stroke();
      const side = 4 * devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(left - side, bbox.top);
      ctx.lineTo(left + side, bbox.top);
      ctx.lineTo(left, bbox.top + 1.5 * side);
      ctx.fill();
    }
    ctx.restore();
  }

  /** Wheel with Ctrl (also a pinch), or over a plot that has the focus: closer; sideways: along. */
  private listen(over: HTMLElement): void {
    over.addEventListener("wheel", (event) => this.wheeled(event, over), { passive: false });
    over.addEventListener("dblclick", () => this.showWhole());
    over.addEventListener("pointerdown", (down) => {
      if (down.button !== 0) return;
      over.setPointerCapture(down.pointerId);
      let last = down.clientX;
      const moved = (event: PointerEvent): void => {
        this.pan((last - event.clientX) / over.clientWidth);
        last = event.clientX;
      };
      const ended = (): void => {
        over.removeEventListener("pointermove", moved);
        over.removeEventListener("lostpointercapture", ended);
      };
      over.addEventListener("pointermove", moved);
      over.addEventListener("lostpointercapture", ended);
    });
  }

  private wheeled(event: WheelEvent, over: HTMLElement): void {
    const focused = this.place.matches(":focus-within");
    const sideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !focused && !sideways) return; // the page's to scroll
    event.preventDefault();
    if (sideways && !event.ctrlKey) {
      this.pan((event.deltaX || event.deltaY) / over.clientWidth);
    } else if (event.deltaY !== 0) {
      const left = event.clientX - over.getBoundingClientRect().left;
      this.zoom(event.deltaY < 0 ? CLOSER : 1 / CLOSER, this.plot.posToVal(left, "x"));
    }
  }
}

/** What cannot be changed in a drawn plot. */
function shape({ x, y, height }: LinePlotGiven, { series, bands }: Columns): string {
  return JSON.stringify([x.time, y.log, y.min, y.max, height, series, bands]);
}

/** Where the events are. */
function marked({ marks = [] }: LinePlotGiven): number[] {
  return marks.map(({ x }) => x);
}

/** On a logarithmic axis no other lines: they would be closer than can be read. */
function powersOfTen(_plot: uPlot, splits: number[]): (number | null)[] {
  return splits.map((split) => (Number.isInteger(Math.log10(split)) ? split : null));
}

function limits({ from, to }: Range): { min: number; max: number } {
  return { min: from, max: to };
}

/** Some air above and below, but none beyond what the axis can hold. */
function roomFor({ min, max }: LinePlotGiven["y"]): uPlot.Scale.Range {
  const limit = (hard: number | undefined): uPlot.Range.Limit => ({
    pad: 0.1,
    ...(hard === undefined ? {} : { hard, soft: hard, mode: 1 }),
  });
  return { min: limit(min), max: limit(max) };
}

/** A computed colour, `rgb(…)` or `rgba(…)`, with less of it. */
function withAlpha(colour: string, alpha: number): string {
  const [red = 0, green = 0, blue = 0] = colour.match(/[\d.]+/g) ?? [];
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}
