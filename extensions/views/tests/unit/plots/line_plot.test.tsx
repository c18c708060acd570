import { cleanup, fireEvent, render, screen, within } from "@testing-library/preact";
import { afterEach, expect, test } from "vitest";

import { LinePlot, type LinePlotGiven } from "../../../src/plots/index.js";

afterEach(cleanup);

const STEPS = Array.from({ length: 120 }, (_, i) => i + 1);
const GIVEN: LinePlotGiven = {
  title: "Loss",
  x: { label: "step", values: STEPS },
  y: { label: "loss" },
  lines: [
    { label: "<b>training</b>", values: STEPS.map((step) => (step === 2 ? null : 1 / step)) },
  ],
  bounds: [{ label: "target", value: 0.25 }],
  marks: [{ x: 60, label: "checkpoint" }],
};

test("a plot is named and says how it is moved", () => {
  render(<LinePlot {...GIVEN} />);
  const plot = screen.getByRole("group", { name: /^Loss: loss by step\. Arrow keys/ });
  expect(plot.tabIndex).toBe(0);
});

test("a plot's numbers, bounds and events stand in a table, a page at a time", () => {
  render(<LinePlot {...GIVEN} />);
  fireEvent.click(screen.getByRole("button", { name: "Numbers" }));
  const table = screen.getByRole("table", { name: "Loss: loss" });
  expect(within(table).getAllByRole("row")).toHaveLength(51);
  expect(within(table).getByRole("row", { name: "2 –" })).toBeTruthy();
  expect(screen.getByText(/60/, { selector: "li" }).textContent).toBe("60: checkpoint");
  fireEvent.click(screen.getByRole("button", { name: "Later" }));
  expect(screen.getByText("Page 2 of 3")).toBeTruthy();
  expect(within(table).getByRole("row", { name: "51 0.019608" })).toBeTruthy();
});

test("the legend hides and shows a line, whose name is text", () => {
  render(<LinePlot {...GIVEN} />);
  const entry = screen.getByRole("button", { name: "<b>training</b>" });
  expect(entry.getAttribute("aria-pressed")).toBe("true");
  fireEvent.click(entry);
  expect(entry.getAttribute("aria-pressed")).toBe("false");
});

test("lines of a group have one entry of the legend, each of them its own column of numbers", () => {
  const lines = ["run 1", "run 2", "run 3"].map((label, i) => ({
    label,
    values: STEPS,
    group: i === 1 ? "rolled back" : "others",
  }));
  render(<LinePlot {...GIVEN} lines={lines} />);
  const entries = screen
    .getAllByRole("button")
    .filter((one) => one.hasAttribute("aria-pressed"))
    .map(({ textContent }) => textContent);
  expect(entries).toEqual(["others", "rolled back", "target"]);
  fireEvent.click(screen.getByRole("button", { name: "Numbers" }));
  expect(screen.getByRole("columnheader", { name: "run 3" })).toBeTruthy();
});
