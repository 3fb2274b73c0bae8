import { describe, expect, it } from '@jest/globals';
import { partBytesFor } from './s3-part-size.js';

const mib = 1024 * 1024;
const gib = 1024 * mib;
const largest = 10_000 * 5 * gib;

describe('the parts of an upload', () => {
  it.each([1, 78 * gib, 78 * gib + 9, 100 * gib, 1024 * gib + 1, 40_000 * gib + 1, largest])('of %s bytes are at most 10,000 of at most 5 GiB', (sizeBytes) => {
    for (const [leastBytes, wishedParts] of [[8 * mib, 10_000], [16 * mib, 200], [5 * mib, 200]] as const) {
      const partBytes = partBytesFor(sizeBytes, leastBytes, wishedParts);
      expect(Math.ceil(sizeBytes / partBytes)).toBeLessThanOrEqual(10_000);
      expect(partBytes).toBeGreaterThanOrEqual(leastBytes);
      expect(partBytes).toBeLessThanOrEqual(5 * gib);
    }
  });

  it('are few where they are wished to be', () => {
    expect(partBytesFor(11 * mib, 5 * mib, 200)).toBe(5 * mib);
    expect(Math.ceil((900 * gib) / partBytesFor(900 * gib, 16 * mib, 200))).toBeLessThanOrEqual(200);
  });

  it('do not hold more than S3 takes', () => {
    expect(() => partBytesFor(largest + 1, 8 * mib)).toThrow(expect.objectContaining({ code: 'ARCHIVE_TOO_LARGE' }));
  });
});
