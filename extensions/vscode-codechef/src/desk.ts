import type { Approvals } from "./approvals.js";
import type { Picture } from "./picture.js";
import type { Server } from "./server.js";
import type { Views } from "./webviews/views.js";

/** What commands and trees work with. */
export interface Desk {
  server: Server;
  picture: Picture;
  approvals: Approvals;
  views: Views;
}
