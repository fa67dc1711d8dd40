/** One connection of a watch. */

import { after, now } from "../clock.js";
import { LongrunError, invalidAnswer, unreachable } from "../error.js";
import { type Opened, type Transport, refusal } from "../transport.js";
import { type Block, Lines } from "./lines.js";

/** The server gives a sign of life every 15 s: after three that did not come, nobody is there. */
const SILENCE_MAX = 45_000;
/** No event of the protocol comes near; it bounds what a broken server can make us hold. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/** What is to be connected to. */
export interface Opening {
  transport: Transport;
  path: string;
  /** The event after which the stream goes on. */
  cursor: string | undefined;
  /** Until when the server has to have answered, on the monotonic clock. */
  deadline: number;
  signal: AbortSignal | undefined;
}

/** Connects; nothing when the server has no more to tell. */
export async function connect(opening: Opening): Promise<Source | undefined> {
  const { transport, path, cursor, deadline, signal } = opening;
  const headers = {
    accept: "text/event-stream",
    ...(cursor === undefined ? {} : { "last-event-id": cursor }),
  };
  const opened = await transport.open({ method: "GET", path, headers, deadline, signal });
  const { response } = opened;
  const media = response.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (response.status === 200 && media === "text/event-stream" && response.body) {
    return new Source(opened, response.body.getReader(), signal);
  }
  try {
    if (response.status === 204) return undefined;
    const answer = { status: response.status, headers: response.headers, text: await response.text() };
    throw response.status === 200 ? invalidAnswer("it is no stream of events") : refusal(answer);
  } catch (error) {
    if (error instanceof LongrunError) throw error;
    throw signal?.aborted ? signal.reason : unreachable(error);
  } finally {
    opened.deadline.abort();
    opened.deadline.close();
  }
}

/** The events of one connection. */
export class Source {
  private readonly lines = new Lines();
  private blocks: Block[] = [];
  private lastHeard = now();
  /** Whether the server has sent anything at all, were it a sign of life. */
  wasHeard = false;

  constructor(
    private readonly opened: Opened,
    private readonly reader: ReadableStreamDefaultReader<Uint8Array>,
    private readonly signal: AbortSignal | undefined,
  ) {
    opened.deadline.lift();
  }

  /** The next event as it was sent. */
  async next(): Promise<Block> {
    for (;;) {
      const block = this.blocks.shift();
      if (block) return block;
      this.blocks = this.lines.push(await this.read());
      if (this.lines.pending > EVENT_CHARS_MAX) throw invalidAnswer("an event is too long");
    }
  }

  /** Ends the connection. */
  close(): void {
    this.opened.deadline.abort();
    this.opened.deadline.close();
  }

  private async read(): Promise<Uint8Array> {
    const silence = after(SILENCE_MAX, () => {
      this.opened.deadline.abort();
    });
    try {
      const { done, value } = await this.reader.read();
      if (done) throw new Error("the stream has ended");
      this.wasHeard = true;
      this.lastHeard = now();
      return value;
    } catch (error) {
      if (this.signal?.aborted) throw this.signal.reason;
      const silent = now() - this.lastHeard >= SILENCE_MAX;
      throw unreachable(silent ? new Error(`nothing was heard for ${SILENCE_MAX / 1000} s`) : error);
    } finally {
      clearTimeout(silence);
    }
  }
}
