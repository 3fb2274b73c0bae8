/** PostgreSQL refuses NUL in any text, and half a surrogate pair, as is left where a product cuts a name within an emoji, in JSON. */
export function isStorableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed();
}

/** Of what only has to be shown: the characters that cannot be stored are replaced. */
export function toStorableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** The path of the first text within an input that cannot be stored; null where all can. */
export function findUnstorableText(value: unknown, path: readonly string[] = []): readonly string[] | null {
  if (typeof value === 'string') return isStorableText(value) ? null : path;
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const found = findUnstorableText(inner, [...path, key]);
    if (found !== null) return found;
  }
  return null;
}
