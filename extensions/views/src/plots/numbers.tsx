/** The numbers of a plot as a table, a page at a time: for screen readers, and for who wants them exactly. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";

import { Pager } from "../parts/pager.js";
import type { LinePlotGiven } from "./description.js";

const PAGE = 50;

/** A number in full, as far as it matters. */
export function number(value: number): string {
  return value.toLocaleString(undefined, { maximumSignificantDigits: 5 });
}

interface NumbersGiven {
  given: LinePlotGiven;
  /** How a place on the horizontal axis is written. */
  write: (x: number) => string;
}

export function Numbers(numbers: NumbersGiven): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <div class="plot-numbers">
      <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
        Numbers
      </button>
      {open ? <Pages {...numbers} /> : null}
    </div>
  );
}

function Pages({ given, write }: NumbersGiven): JSX.Element {
  const { x, y, lines, bounds = [], marks = [], title } = given;
  const pages = Math.max(1, Math.ceil(x.values.length / PAGE));
  const [wanted, setPage] = useState(0);
  const page = Math.min(wanted, pages - 1);
  const start = page * PAGE;
  const shown = (value: number | null | undefined): string =>
    value === null || value === undefined ? "–" : (y.write ?? number)(value);
  return (
    <>
      {bounds.map(({ label, value }, i) => (
        <p key={i}>
          <bdi>{label}</bdi>: {shown(value)}
        </p>
      ))}
      {marks.length === 0 ? null : (
        <ul>
          {marks.map((mark, i) => (
            <li key={i}>
              {write(mark.x)}: <bdi>{mark.label}</bdi>
            </li>
          ))}
        </ul>
      )}
      <table>
        <caption>
          {title}: {y.label}
        </caption>
        <thead>
          <tr>
            <th scope="col">{x.label}</th>
            {lines.map((line, i) => (
              <th key={i} scope="col" class="numeric">
                <bdi>{line.label}</bdi>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {x.values.slice(start, start + PAGE).map((at, i) => (
            <tr key={start + i}>
              <th scope="row">{write(at)}</th>
              {lines.map(({ values, band }, j) => (
                <td key={j} class="numeric">
                  {shown(values[start + i])}
                  {band === undefined
                    ? null
                    : ` (${shown(band.low[start + i])} … ${shown(band.high[start + i])})`}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {pages === 1 ? null : (
        <Pager
          earlier={page === 0 ? undefined : () => setPage(page - 1)}
          later={page === pages - 1 ? undefined : () => setPage(page + 1)}
        >
          Page {page + 1} of {pages}
        </Pager>
      )}
    </>
  );
}
