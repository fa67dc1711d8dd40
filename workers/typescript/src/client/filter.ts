/** The condition of a list, put together without quoting by hand. */

import type { Status } from "../wire/operation.js";

/**
 * Which operations a list has: a `$filter` of the wire.
 *
 * ```ts
 * Filter.status("Failed").and(Filter.queue("media").or(Filter.label("of", "O'Hara")));
 * ```
 */
export class Filter {
  /** A filter as it is written on the wire, such as `priority gt 0 and startswith(queue,'media')`. */
  constructor(private readonly text: string) {}

  /** Those that stand there. */
  static status(status: Status): Filter {
    return equal("status", status);
  }

  /** Those of this queue. */
  static queue(name: string): Filter {
    return equal("queue", name);
  }

  /** Those of this type. */
  static operationType(name: string): Filter {
    return equal("operationType", name);
  }

  /** Those with this label. */
  static label(name: string, value: string): Filter {
    return equal(`labels/${name}`, value);
  }

  /** Those that both let through. */
  and(other: Filter | string): Filter {
    return new Filter(`(${this.text}) and (${other.toString()})`);
  }

  /** Those that one of them lets through. */
  or(other: Filter | string): Filter {
    return new Filter(`(${this.text}) or (${other.toString()})`);
  }

  /** The text on the wire. */
  toString(): string {
    return this.text;
  }
}

function equal(property: string, text: string): Filter {
  return new Filter(`${property} eq '${text.replaceAll("'", "''")}'`);
}
