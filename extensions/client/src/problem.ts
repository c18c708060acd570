import type { ProblemDetails } from "./schema.js";

/** Why the server could not do what it was asked for, in words for a person. */
export class ChefProblem extends Error {
  override readonly name = "ChefProblem";

  /**
   * @param status HTTP's; 0 when no server answered.
   * @param type `urn:code-chef:problem:…`: programs tell problems by it, never by their text.
   * @param remedy What to do next; empty when there is nothing.
   */
  constructor(
    message: string,
    readonly status: number,
    readonly type: string,
    readonly remedy: string,
    readonly details?: ProblemDetails,
  ) {
    super(message);
  }

  /** Whether another try may help without anybody doing anything: no answer, or a server that fails. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }

  /** What is wrong with a value of the request, e.g. `overrides.seed`; undefined where nothing is. */
  about(field: string): string | undefined {
    const found = this.details?.errors.find(({ where }) =>
      `${where}.`.startsWith(`body.${field}.`),
    );
    return found?.message;
  }

  /** The server's problem (RFC 9457), or what a proxy before it answered instead. */
  static of(status: number, body: unknown): ChefProblem {
    if (isDetails(body)) {
      return new ChefProblem(body.detail, body.status, body.type, body.remedy, body);
    }
    return new ChefProblem(
      `The server answered ${status} in a form that is not code/chef's.`,
      status,
      "about:blank",
      "Is the address that of a code/chef API? `chef serve` prints it.",
    );
  }

  /** Nobody answered at an address. */
  static unreachable(url: string): ChefProblem {
    return new ChefProblem(
      `No server answers at ${url}.`,
      0,
      "urn:code-chef:problem:unreachable",
      "Start one with `chef serve`, or correct the address.",
    );
  }
}

function isDetails(body: unknown): body is ProblemDetails {
  return (
    typeof body === "object" &&
    body !== null &&
    "detail" in body &&
    "remedy" in body &&
    "type" in body &&
    "status" in body
  );
}
