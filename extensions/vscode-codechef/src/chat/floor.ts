/** Who is speaking: agents work at the same time, but a chat shows one text after the other. */

/** A piece of a text, to be shown after everything before it. */
export interface Piece {
  agent: string;
  text: string;
  /** Whether a message begins with it. */
  begins: boolean;
}

interface Speech {
  agent: string;
  /** What is not shown yet. */
  text: string;
  /** Whether nothing more comes. */
  ended: boolean;
}

/**
 * Puts tokens and messages in an order in which each text can be read, and appears once.
 *
 * A text that is being written has the floor until its end; what others write meanwhile follows.
 * The whole message that ends a stream of tokens adds only what the tokens have not shown.
 */
export class Floor {
  /** By message id, in the order of their beginnings; the first one has the floor. */
  private readonly speeches = new Map<string, Speech>();
  /** By message id, what everybody has seen of it. */
  private readonly shown = new Map<string, string>();

  /** A piece of a message. */
  token(agent: string, messageId: string, text: string): Piece[] {
    this.speech(agent, messageId).text += text;
    return this.spoken();
  }

  /** A whole message. */
  message(agent: string, messageId: string, text: string): Piece[] {
    const speech = this.speech(agent, messageId);
    speech.text = rest(this.shown.get(messageId) ?? "", text);
    speech.ended = true;
    return this.spoken();
  }

  /** An agent does something else, or the turn is over: what it was writing has ended. */
  ended(agent?: string): Piece[] {
    for (const speech of this.speeches.values()) {
      if (agent === undefined || speech.agent === agent) speech.ended = true;
    }
    return this.spoken();
  }

  private speech(agent: string, messageId: string): Speech {
    const known = this.speeches.get(messageId);
    if (known !== undefined) return known;
    // An agent that begins a message has ended the one before.
    for (const speech of this.speeches.values()) {
      if (speech.agent === agent) speech.ended = true;
    }
    const begun = { agent, text: "", ended: false };
    this.speeches.set(messageId, begun);
    return begun;
  }

  private spoken(): Piece[] {
    const pieces: Piece[] = [];
    for (const [id, speech] of this.speeches) {
      const { agent, text } = speech;
      if (text !== "") {
        pieces.push({ agent, text, begins: !this.shown.has(id) });
        this.shown.set(id, (this.shown.get(id) ?? "") + text);
        speech.text = "";
      }
      if (!speech.ended) break;
      this.speeches.delete(id);
    }
    return pieces;
  }
}

/** Returns what is to be added to the tokens that were shown; all of a text that differs. */
function rest(shown: string, whole: string): string {
  if (whole.startsWith(shown)) return whole.slice(shown.length);
  return shown.trim() === whole.trim() ? "" : `\n\n${whole}`;
}
