import { describe, expect, it } from '@jest/globals';
import { fuzzyNames } from './archived-namespaces.js';

const namespace = { kind: 'collection', documents: 0, bytes: 0, crc64: '0'.repeat(16), indexes: 1 } as const;
const namesOf = (level: 'snapshot' | 'fuzzy', own?: 'fuzzy'): string[] => [
  ...fuzzyNames({ consistency: { level, clusterTime: null }, namespaces: [{ ...namespace, name: 'a' }, { ...namespace, name: 'b', ...(own === undefined ? {} : { consistency: own }) }] }),
];

describe('what was read while it could change', () => {
  it('is nothing of a snapshot, what says so itself, or all of a backup of which nothing does', () => {
    expect(namesOf('snapshot')).toEqual([]);
    expect(namesOf('fuzzy', 'fuzzy')).toEqual(['b']);
    expect(namesOf('fuzzy')).toEqual(['a', 'b']);
  });
});
