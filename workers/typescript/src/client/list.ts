/** Lists: page after page, each from where the one before ended. */

import type { Operation } from "../wire/operation.js";
import { invalidAnswer } from "./error.js";
import type { Filter } from "./filter.js";

const SKIP_TOKEN = "$skiptoken";

/**
 * Which operations are listed, and what of them. The default: all, the newest first, without inputs and
 * results.
 */
export interface ListQuery {
  /** Which; a text is taken as it is. */
  filter?: Filter | string;
  /** By the time of their creation, and not the newest first. */
  oldestFirst?: boolean;
  /** Operations of one page, 1…1000; 100 unless set. */
  pageSize?: number;
  /** Fields, by their names on the wire; without any, all but `input` and `result`. */
  select?: (keyof Operation)[];
  /** Whether each page tells how many operations there are on all pages. */
  count?: boolean;
}

/** One page of a list. */
export interface Page {
  /** The operations. */
  value: Operation[];
  /** How many there are on all pages, where that was asked for. */
  count?: number;
}

/** Reads what stands at a path. */
export type Read = (path: string) => Promise<unknown>;

/**
 * The operations of a list, over all its pages, which are fetched as they are needed; each loop over it
 * begins anew.
 */
export class List implements AsyncIterable<Operation> {
  constructor(
    private readonly query: ListQuery,
    private readonly read: Read,
  ) {}

  /** Each operation of every page. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Operation, void, undefined> {
    for await (const page of this.pages()) yield* page.value;
  }

  /** The pages themselves. */
  async *pages(): AsyncGenerator<Page, void, undefined> {
    let skip: string | undefined;
    do {
      const page = (await this.read(path(this.query, skip))) as Page & Record<string, unknown>;
      if (!Array.isArray(page.value)) throw invalidAnswer("a page without a value");
      const link = page["@odata.nextLink"];
      skip = typeof link === "string" ? skipToken(link) : undefined;
      const count = page["@odata.count"];
      yield { value: page.value, ...(typeof count === "number" ? { count } : {}) };
    } while (skip !== undefined);
  }
}

/** The path that counts what a filter lets through. */
export function countPath(filter: Filter | string | undefined): string {
  return withQuery("/v1.0/operations/$count", { $filter: filter?.toString() });
}

function path(query: ListQuery, skip: string | undefined): string {
  return withQuery("/v1.0/operations", {
    $filter: query.filter?.toString(),
    $orderby: query.oldestFirst ? "createdDateTime asc" : undefined,
    $top: query.pageSize?.toString(),
    $select: query.select?.join(","),
    $count: query.count ? "true" : undefined,
    [SKIP_TOKEN]: skip,
  });
}

/** A path with those of the parameters that are there. */
export function withQuery(path: string, parameters: Record<string, string | undefined>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.append(name, value);
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

/**
 * Where the next page begins. The link may lead through another host than the one this client was given, and
 * the token of the client is for that one only; so only this is taken from it.
 */
function skipToken(link: string): string {
  const token = new URL(link, "http://localhost").searchParams.get(SKIP_TOKEN);
  if (token === null) throw invalidAnswer("a next link without a $skiptoken");
  return token;
}
