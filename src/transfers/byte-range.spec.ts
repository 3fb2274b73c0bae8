import { describe, expect, it } from '@jest/globals';
import { readRange } from './byte-range.js';

describe('readRange', () => {
  it.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=10-', { start: 10, end: 99 }],
    ['bytes=10-1000', { start: 10, end: 99 }],
    ['bytes=-5', { start: 95, end: 99 }],
    ['bytes=-500', { start: 0, end: 99 }],
  ])('reads %s of 100 bytes', (header, range) => {
    expect(readRange(header, 100)).toEqual({ kind: 'part', range });
  });

  it.each(['bytes=100-', 'bytes=100-200', 'bytes=-0'])('says that %s of 100 bytes cannot be satisfied', (header) => {
    expect(readRange(header, 100)).toEqual({ kind: 'unsatisfiable' });
  });

  it.each([undefined, 'bytes=', 'bytes=-', 'bytes=5-4', 'lines=1-2', 'bytes=0-1,5-6', 'bytes=a-b'])('answers %s with the whole file', (header) => {
    expect(readRange(header, 100)).toEqual({ kind: 'whole' });
  });
});
