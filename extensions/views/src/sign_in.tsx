import type { ChefProblem } from "@codechef/client";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";

import { ProblemBox } from "./parts/problem.js";

/** What a header can carry: anything else would fail before it is sent. */
const TOKEN = "\\s*[\\x21-\\x7e]+\\s*";

/** Asks for an access token. */
export function SignIn({
  problem,
  signIn,
}: {
  problem: ChefProblem | undefined;
  signIn: (token: string) => Promise<void>;
}): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    void signIn(field.current?.value ?? "");
  };
  return (
    <main class="sign-in">
      <h1>Sign in to code/chef</h1>
      <form onSubmit={submit}>
        <label for="token">Access token</label>
        <input
          id="token"
          type="password"
          autocomplete="current-password"
          required
          pattern={TOKEN}
          title="Letters, digits and signs, without spaces between them."
          spellcheck={false}
          ref={field}
        />
        <button type="submit" class="primary">
          Sign in
        </button>
      </form>
      {problem === undefined ? null : <ProblemBox problem={problem} />}
      <p class="hint">
        Whoever runs the server makes one with <code>chef api tokens add NAME --role ROLE</code>. It
        stays in this tab until you sign out or close it.
      </p>
    </main>
  );
}
