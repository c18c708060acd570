/** Runs before every file of tests that begin something: see `endings.ts`. */

import { afterAll } from "vitest";

import { endAll } from "./endings.js";

afterAll(endAll);
