/** The pattern of `ilike` for texts that hold this one, whatever characters are in it. */
export function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`;
}
