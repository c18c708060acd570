/** The whole front end: the browser shows all views, a webview of the editor one of them. */

import type { Me, Route, View } from "@codechef/client";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";

import { ShownContext } from "./context.js";
import type { Host } from "./host/host.js";
import { Live } from "./live.js";
import { Link } from "./parts/link.js";
import { ProblemBox } from "./parts/problem.js";
import { Session } from "./session.js";
import { SignIn } from "./sign_in.js";
import { ThemeSwitch } from "./theme.js";
import { PAGES } from "./views/index.js";

export function App({ host }: { host: Host }): JSX.Element {
  const session = useMemo(() => new Session(host), [host]);
  useEffect(() => void session.begin(), [session]);
  const state = session.state.value;
  switch (state.kind) {
    case "asking":
      return (
        <main aria-busy="true">
          <p class="loading">Connecting …</p>
        </main>
      );
    case "signed-out":
      return <SignIn problem={state.problem} signIn={(token) => session.signIn(token)} />;
    case "failed":
      return (
        <main>
          <ProblemBox problem={state.problem} retry={() => void session.begin()} />
        </main>
      );
    case "signed-in":
      return <SignedIn host={host} session={session} me={state.me} />;
  }
}

function SignedIn({
  host,
  session,
  me,
}: {
  host: Host;
  session: Session;
  me: Me;
}): JSX.Element | null {
  const live = useMemo(() => new Live(), [session]);
  const seen = host.seen.value;
  useEffect(() => {
    if (!seen) return undefined;
    const ended = new AbortController();
    void live.run(session.api, ended.signal);
    return () => ended.abort();
  }, [live, session, seen]);
  const route = host.route.value;
  if (route === undefined) return null;
  const shown = {
    api: session.api,
    me,
    host,
    live,
    params: route.params,
    navigate: host.navigate,
  };
  return (
    <ShownContext.Provider value={shown}>
      {host.kind === "browser" ? <Top session={session} me={me} route={route} /> : null}
      <Connection live={live} />
      <Content route={route} />
    </ShownContext.Provider>
  );
}

const NAVIGATION: View[] = ["overview", "rollouts", "jobs", "registry", "approvals", "simulator"];

function Top({ session, me, route }: { session: Session; me: Me; route: Route }): JSX.Element {
  return (
    <header class="top">
      <a class="skip" href="#content" onClick={toContent}>
        Skip to the content
      </a>
      <span class="brand">
        code<b>/</b>chef
      </span>
      <nav aria-label="Views">
        <ul>
          {NAVIGATION.map((view) => (
            <li key={view}>
              <Link to={{ view, params: {} }} current={view === route.view}>
                {PAGES[view].called ?? PAGES[view].title}
              </Link>
            </li>
          ))}
        </ul>
      </nav>
      <span class="who">
        <bdi>{me.name}</bdi> · {me.role}
      </span>
      <ThemeSwitch />
      {session.hasToken ? (
        <button type="button" class="quiet" onClick={() => session.signOut()}>
          Sign out
        </button>
      ) : null}
    </header>
  );
}

function toContent(event: Event): void {
  event.preventDefault(); // the hash names the view
  document.getElementById("content")?.focus();
}

/** Said only when it changes: whether what is shown is kept up to date. */
function Connection({ live }: { live: Live }): JSX.Element {
  const lost = live.connection.value === "reconnecting";
  return (
    <div role="status" class={lost ? "connection lost" : "connection"}>
      {lost ? "The server does not answer. Reconnecting …" : ""}
    </div>
  );
}

function Content({ route }: { route: Route }): JSX.Element {
  const page = PAGES[route.view];
  const { title } = page;
  const address = JSON.stringify(route);
  const heading = useRef<HTMLHeadingElement>(null);
  const first = useRef(true);
  // Before the view is seen: a key that is pressed at once is meant for it.
  useLayoutEffect(() => {
    document.title = `${title} · code/chef`;
    // Who came by a link goes on from here; who has just opened the page, from its top.
    if (!first.current) heading.current?.focus();
    first.current = false;
  }, [address, title]);
  return (
    <main id="content" tabIndex={-1}>
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      <page.show key={address} />
    </main>
  );
}
