/**
 * The leases of a worker in memory that two threads share, so that telling the other one costs no message.
 *
 * A row has 64 bytes: a version, which is odd while the row is being written, the lease's token, until when
 * the loop should have renewed it (never for an empty row), and the operation's id. One thread writes,
 * another reads; a row that changes while it is read is left out that time.
 */

const ROW_BYTES = 64;
const ID_AT = 24;
/** A UUID as text. */
const ID_BYTES = 36;

/** A row as it was read. */
export interface Row {
  id: string;
  leaseToken: number;
  /** When somebody else is to renew it, on the clock that the writer uses. */
  due: number;
}

/** The rows. */
export class LeaseTable {
  private readonly versions: Int32Array;
  private readonly numbers: Float64Array;
  private readonly bytes: Uint8Array;
  private readonly rows: number;

  constructor(readonly memory: SharedArrayBuffer) {
    this.versions = new Int32Array(memory);
    this.numbers = new Float64Array(memory);
    this.bytes = new Uint8Array(memory);
    this.rows = memory.byteLength / ROW_BYTES;
  }

  /** A table of so many rows, all empty. */
  static of(rows: number): LeaseTable {
    const table = new LeaseTable(new SharedArrayBuffer(rows * ROW_BYTES));
    for (let row = 0; row < rows; row += 1) table.setDue(row, Number.POSITIVE_INFINITY);
    return table;
  }

  /** Writes a row whole. */
  put(row: number, { id, leaseToken, due }: Row): void {
    const at = row * ROW_BYTES;
    Atomics.add(this.versions, at / 4, 1);
    this.numbers[at / 8 + 1] = leaseToken;
    this.numbers[at / 8 + 2] = due;
    for (let byte = 0; byte < ID_BYTES; byte += 1) this.bytes[at + ID_AT + byte] = id.charCodeAt(byte);
    Atomics.add(this.versions, at / 4, 1);
  }

  /** Writes when the row is due; infinity empties it. */
  setDue(row: number, due: number): void {
    const at = row * ROW_BYTES;
    Atomics.add(this.versions, at / 4, 1);
    this.numbers[at / 8 + 2] = due;
    Atomics.add(this.versions, at / 4, 1);
  }

  /** The rows that are due by then. */
  due(by: number): Row[] {
    const found: Row[] = [];
    for (let row = 0; row < this.rows; row += 1) {
      const at = row * ROW_BYTES;
      const version = Atomics.load(this.versions, at / 4);
      const due = this.numbers[at / 8 + 2] ?? Number.POSITIVE_INFINITY;
      if (due > by) continue;
      const id = String.fromCharCode(...this.bytes.subarray(at + ID_AT, at + ID_AT + ID_BYTES));
      const leaseToken = this.numbers[at / 8 + 1] ?? 0;
      const isWhole = version % 2 === 0 && Atomics.load(this.versions, at / 4) === version;
      if (isWhole) found.push({ id, leaseToken, due });
    }
    return found;
  }
}
