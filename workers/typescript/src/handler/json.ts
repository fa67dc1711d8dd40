/** Values of handlers as JSON, and texts as the protocol takes them. */

/** A value as JSON, or why it has no such form. */
export type Written = { text: string; error?: never } | { text?: never; error: string };

/** Writes a value. */
export function write(value: unknown): Written {
  try {
    // TypeScript does not say so, but a function or a symbol gives nothing.
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined ? { error: `a value of type ${typeof value} has no JSON form` } : { text };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

/** How many bytes a text has as UTF-8. */
export function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}

/**
 * The protocol takes no U+0000 and no lone surrogates in texts, and a message from a broken file may well
 * hold one.
 */
export function clean(text: string): string {
  return text.replace(/[\0\ud800-\udfff]/gu, "\ufffd");
}

/** Cuts a text so that it has at most so many characters. */
export function cutCharacters(text: string, most: number): string {
  return text.length <= most ? text : Array.from(text).slice(0, most).join("");
}

/** Cuts a text so that it has at most so many bytes as JSON, its quotes aside. */
export function cutBytes(text: string, most: number): string {
  // Six is the most that JSON makes of a unit: nearly every text ends here.
  if (text.length * 6 <= most) return text;
  let [bytes, end] = [0, 0];
  for (const character of text) {
    bytes += escapedBytes(character);
    if (bytes > most) return text.slice(0, end);
    end += character.length;
  }
  return text;
}

/** How many bytes a text has as JSON, its quotes aside. */
export function escapedBytes(text: string): number {
  return bytesOf(JSON.stringify(text)) - 2;
}
