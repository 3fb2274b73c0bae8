/** The collections that a view reads, by its options as Extended JSON: what it is on, and what its pipeline joins. */
export function viewSources(options: string): string[] {
  const { viewOn, pipeline } = JSON.parse(options) as { readonly viewOn?: unknown; readonly pipeline?: unknown };
  const found = new Set<string>();
  const add = (name: unknown): void => void (typeof name === 'string' && found.add(name));
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value as Readonly<Record<string, unknown>>)) {
      if (key === '$lookup' || key === '$graphLookup') add((inner as { readonly from?: unknown } | null)?.from);
      if (key === '$unionWith') add(typeof inner === 'string' ? inner : (inner as { readonly coll?: unknown } | null)?.coll);
      visit(inner);
    }
  };
  add(viewOn);
  visit(pipeline);
  return [...found].sort();
}
