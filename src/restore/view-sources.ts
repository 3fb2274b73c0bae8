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

/** Views that read themselves by way of others, and views that read such ones, by what each reads. */
export function circularViews(reads: ReadonlyMap<string, readonly string[]>): string[] {
  const left = new Map([...reads].map(([name, sources]) => [name, new Set(sources.filter((source) => reads.has(source)))]));
  const readers = new Map<string, string[]>();
  for (const name of left.keys()) readers.set(name, []);
  for (const [name, sources] of left) for (const source of sources) readers.get(source)?.push(name);
  const ended = [...left].flatMap(([name, sources]) => (sources.size === 0 ? [name] : []));
  for (let name = ended.pop(); name !== undefined; name = ended.pop()) {
    left.delete(name);
    for (const reader of readers.get(name) ?? []) {
      const sources = left.get(reader);
      sources?.delete(name);
      if (sources?.size === 0) ended.push(reader);
    }
  }
  return [...left.keys()].sort();
}
