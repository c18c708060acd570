/** Addresses of views: what stands after the `#` in a browser. */

import { type Route, type View, VIEWS } from "@codechef/client";

/** The parameter that is part of the path; all others stand in the query. */
const IN_PATH: Partial<Record<View, string>> = {
  rollout: "rollout_id",
  compare: "job_id",
  job: "job_id",
  approval: "approval_id",
  gguf: "job_id",
};

export const HOME: Route = { view: "overview", params: {} };

/** E.g. `#/rollout/ro_1`, `#/versions?agent=docs&a=v1&b=v2`. */
export function toHash({ view, params }: Route): string {
  const inPath = IN_PATH[view];
  const id = inPath === undefined ? undefined : params[inPath];
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params)) if (key !== inPath) query.set(key, value);
  const path = id === undefined ? view : `${view}/${encodeURIComponent(id)}`;
  return `#/${path}${query.size > 0 ? `?${query.toString()}` : ""}`;
}

/** The view that a hash names; the overview for one that names none. */
export function fromHash(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [name, id, ...rest] = path.split("/");
  const view = VIEWS.find((one) => one === name);
  const params = Object.fromEntries(new URLSearchParams(query));
  if (view === undefined || rest.length > 0) return HOME;
  const inPath = IN_PATH[view];
  if (inPath === undefined) return id === undefined ? { view, params } : HOME;
  const decoded = unescaped(id);
  return decoded === undefined ? HOME : { view, params: { ...params, [inPath]: decoded } };
}

function unescaped(text: string | undefined): string | undefined {
  try {
    return text === undefined || text === "" ? undefined : decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined; // typed by hand
    throw error;
  }
}
