import { describe, expect, it } from '@jest/globals';
import { attachment } from './content-disposition.js';

describe('attachment', () => {
  it('gives a plain name as it is', () => {
    expect(attachment('manual_20260101_120000_ab12cd34.gz.enc')).toBe('attachment; filename="manual_20260101_120000_ab12cd34.gz.enc"');
  });

  it('keeps a name outside ASCII beside its fallback', () => {
    expect(attachment('Büro (1).gz')).toBe(`attachment; filename="B_ro (1).gz"; filename*=UTF-8''B%C3%BCro%20%281%29.gz`);
  });

  it('lets no quote, line break or lone surrogate into the header', () => {
    expect(attachment('a"\r\nb\ud800')).toBe(`attachment; filename="a___b_"; filename*=UTF-8''a%22%0D%0Ab%EF%BF%BD`);
  });
});
