import type { Route } from "@codechef/client";
import type { ComponentChildren, JSX } from "preact";

import { useHost } from "../context.js";
import { toHash } from "../route.js";
import { Name } from "./text.js";

/** A way to another view. */
export function Link({
  to,
  children,
  current = false,
}: {
  to: Route;
  children: ComponentChildren;
  current?: boolean;
}): JSX.Element {
  const { host, navigate } = useHost();
  const open = (event: Event): void => {
    if (host.kind === "browser") return; // the hash does it, and a middle click works
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={toHash(to)} onClick={open} aria-current={current ? "page" : undefined}>
      {children}
    </a>
  );
}

/** An agent's name, and the way to its versions. */
export function AgentLink({ agent }: { agent: string }): JSX.Element {
  return (
    <Link to={{ view: "registry", params: { agent } }}>
      <Name>{agent}</Name>
    </Link>
  );
}

/** A job's id, and the way to it. */
export function JobLink({ job_id }: { job_id: string }): JSX.Element {
  return (
    <Link to={{ view: "job", params: { job_id } }}>
      <Name>{job_id}</Name>
    </Link>
  );
}

/** A link to elsewhere, if its scheme is one of the web's; else the address as text. */
export function WebLink({
  url,
  children,
}: {
  url: string;
  children?: ComponentChildren;
}): JSX.Element {
  const shown = children ?? url;
  const scheme = URL.parse(url)?.protocol;
  if (scheme !== "http:" && scheme !== "https:") return <span dir="auto">{shown}</span>;
  return (
    <a href={url} target="_blank" rel="noopener noreferrer">
      {shown}
    </a>
  );
}
