/** How long to wait for what is rendered: longer than it takes on the busiest machine. */

import { configure } from "@testing-library/preact";

configure({ asyncUtilTimeout: 30_000 });
