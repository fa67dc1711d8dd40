/** Server-sent events, read from bytes as they come. Source: the HTML standard, 9.2 "Server-sent events". */

/** One event as it was sent. */
export interface Block {
  /** Its type; empty where none was named. */
  event: string;
  /** Its data; absent for a block that only sets an id or a delay. */
  data?: string;
  /** The id that was named. */
  id?: string;
  /** The milliseconds to wait before the next connection. */
  retry?: number;
}

/** Puts blocks together from pieces that may end anywhere, within a character too. */
export class Lines {
  private readonly decoder = new TextDecoder();
  private rest = "";
  /** A line ended with CR at the end of a piece: an LF at the beginning of the next belongs to it. */
  private afterReturn = false;
  private block: Block = { event: "" };
  private isBegun = false;

  /** Bytes that are kept until their line ends, about. */
  get pending(): number {
    return this.rest.length + (this.block.data?.length ?? 0);
  }

  /** Takes a piece, and gives the blocks that end in it. */
  push(bytes: Uint8Array): Block[] {
    let text = this.decoder.decode(bytes, { stream: true });
    if (text === "") return [];
    if (this.afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.afterReturn = text.endsWith("\r");
    const lines = (this.rest + text).split(/\r\n|\n|\r/);
    this.rest = lines.pop() ?? "";
    return lines.map((line) => this.line(line)).filter((block) => block !== undefined);
  }

  /** Takes a line, and gives the block that it ends. */
  private line(line: string): Block | undefined {
    if (line === "") {
      const { block, isBegun } = this;
      this.block = { event: "" };
      this.isBegun = false;
      return isBegun ? block : undefined;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return undefined; // a comment: the server lives
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    this.field(name, value);
    return undefined;
  }

  private field(name: string, value: string): void {
    const { block } = this;
    if (name === "data") block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (name === "event") block.event = value;
    else if (name === "id" && !value.includes("\0")) block.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) block.retry = Number(value);
    else return;
    this.isBegun = true;
  }
}
