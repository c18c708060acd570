import type { ComponentChildren, JSX } from "preact";

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ComponentChildren;
  /** Numbers stand at the right, one under the other. */
  numeric?: boolean;
}

/** Rows under titled columns; the first column names its row. */
export function Table<Row>({
  caption,
  columns,
  rows,
  id,
  empty = "None.",
  hideCaption = false,
}: {
  /** What the table shows, for those who hear it. */
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  id: (row: Row) => string;
  empty?: string;
  hideCaption?: boolean;
}): JSX.Element {
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class={hideCaption ? "unseen" : undefined}>{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, numeric }, index) => (
              <th key={index} scope="col" class={numeric ? "numeric" : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map(({ cell, numeric }, index) =>
                index === 0 ? (
                  <th key={index} scope="row">
                    {cell(row)}
                  </th>
                ) : (
                  <td key={index} class={numeric ? "numeric" : undefined}>
                    {cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
