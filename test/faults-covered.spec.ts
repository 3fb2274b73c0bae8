import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '..');
const page = readFileSync(resolve(root, 'docs/faults-covered.md'), 'utf8');
const rows = page.split('\n').filter((line) => line.startsWith('| **'));

/** `<file>` "<title>", as they stand in the last column. */
const evidenceOf = (row: string): [string, string][] => [...row.matchAll(/`([\w./-]+spec\.ts)` "([^"]+)"/g)].map(([, file = '', title = '']) => [file, title]);

describe('the page of faults', () => {
  it.each(rows.map((row) => [/^\| \*\*(.+?)\*\*/.exec(row)?.[1] ?? row, row]))('names specs that are there: %s', (_name, row) => {
    const evidence = evidenceOf(row);
    expect(evidence.length).toBeGreaterThan(0);
    expect(row.match(/spec\.ts`/g)).toHaveLength(evidence.length);
    for (const [file, title] of evidence) expect({ file, title, isThere: readFileSync(resolve(root, file), 'utf8').replaceAll("\\'", "'").includes(title) }).toEqual({ file, title, isThere: true });
  });
});
