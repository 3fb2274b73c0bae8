import { describe, expect, it } from '@jest/globals';
import { findUnstorableText, isStorableText } from './storable-text.js';

describe('text that PostgreSQL stores', () => {
  it.each(['', 'plain', 'two\nlines\t', '日本 🎉', '\u202E', '\uFFFD'])('%j is', (text) => {
    expect(isStorableText(text)).toBe(true);
  });

  it.each(['\0', 'a\0b', '🎉'.slice(0, 1), '🎉'.slice(1)])('%j is not', (text) => {
    expect(isStorableText(text)).toBe(false);
  });

  it('is looked for everywhere in an input, and what is not is found by its path', () => {
    expect(findUnstorableText({ a: 1n, b: [null, new Date(), { c: 'x' }] })).toBeNull();
    expect(findUnstorableText({ a: 1n, b: [null, new Date(), { c: 'x\0' }] })).toEqual(['b', '2', 'c']);
    expect(findUnstorableText('\0')).toEqual([]);
  });
});
