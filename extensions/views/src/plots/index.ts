export type { Axis, Bound, Line, LinePlotGiven, Mark } from "./description.js";
export { LinePlot } from "./line_plot.js";
export { Interval, type Scale, scaleOf } from "./interval.js";
