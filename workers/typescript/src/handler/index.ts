/** What a worker author writes: one function for each operation type. */

import type { Context } from "./context.js";
import { type HandlerError, PermanentError, handlerError } from "./error.js";
import type { Success } from "./success.js";
import { traced } from "./trace.js";
import { reasons } from "../client/error.js";
import type { Attempt } from "./attempt.js";

/**
 * The code for one operation type. It takes the operation's input (`null` where it has none) and returns the
 * result, as it is or with more to say of it by `success`, or throws.
 */
export type Handler<Input, Output> = (
  input: Input,
  context: Context,
) => Output | Success<Output> | Promise<Output | Success<Output>>;

/** What may be said of a handler. */
export interface HandlerOptions<Input> {
  /**
   * Makes the handler's input of whatever the operation has, such as `schema.parse` of any validator. What it
   * throws fails the operation for good, as `invalidInput`. Without it the input is taken for what the
   * handler says.
   */
  parse?: (input: unknown) => Input | Promise<Input>;
}

/** A handler whose own types are forgotten, so that handlers of all types fit one table. */
export type AnyHandler = (input: unknown, context: Context) => unknown;

/** How an attempt ended. */
export type AttemptEnd = { output: unknown; error?: never } | { error: HandlerError };

/** Forgets the types of a handler, and puts its parsing before it. */
export function anyHandler<Input, Output>(
  handler: Handler<Input, Output>,
  { parse }: HandlerOptions<Input>,
): AnyHandler {
  if (!parse) return handler as AnyHandler;
  return async (input, context) => handler(await parsed(parse, input), context);
}

async function parsed<Input>(
  parse: (input: unknown) => Input | Promise<Input>,
  input: unknown,
): Promise<Input> {
  try {
    return await parse(input);
  } catch (error) {
    throw new PermanentError("invalidInput", `input: ${reasons(error)}`, { cause: error });
  }
}

/** Runs a handler to its end. */
export async function carryOut(handler: AnyHandler, attempt: Attempt, context: Context): Promise<AttemptEnd> {
  try {
    return { output: await traced(attempt, () => handler(attempt.operation.input ?? null, context)) };
  } catch (thrown) {
    // What was given the signal ends by its reason, or by an error of its own that only tells of the abort.
    const aborted = attempt.reason !== undefined && thrown instanceof Error && thrown.name === "AbortError";
    return { error: aborted ? attempt.stopped() : handlerError(thrown) };
  }
}
