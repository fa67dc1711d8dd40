/** Names that nobody else has. */

/** 128 random bits as text: an idempotency key, or the id of a claim. */
export function fresh(): string {
  // Node 18 has no `crypto` among its globals, and browsers keep `randomUUID` from pages without TLS. These
  // names are no secrets; they only have to differ.
  const { crypto } = globalThis as { crypto?: { randomUUID?(): string } };
  return crypto?.randomUUID?.() ?? Array.from({ length: 32 }, hexadecimal).join("");
}

function hexadecimal(): string {
  return Math.floor(Math.random() * 16).toString(16);
}
