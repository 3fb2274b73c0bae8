/** Bytes `start` to `end`, both included, of a representation of known size. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export type RangeRequest = { readonly kind: 'whole' } | { readonly kind: 'unsatisfiable' } | { readonly kind: 'part'; readonly range: ByteRange };

const singleRange = /^bytes=\s*(\d*)-(\d*)\s*$/;

/**
 * Reads a `Range` header (RFC 9110, 14.2). Another unit, a malformed header and a list of ranges are answered with the
 * whole file, as the RFC allows: a multipart answer saves nobody anything here.
 */
export function readRange(header: string | undefined, sizeBytes: number): RangeRequest {
  const match = header === undefined ? null : singleRange.exec(header);
  const [, first = '', last = ''] = match ?? [];
  if (!match || (first === '' && last === '')) return { kind: 'whole' };
  if (first === '') {
    const suffix = Math.min(Number(last), sizeBytes);
    return suffix === 0 ? { kind: 'unsatisfiable' } : { kind: 'part', range: { start: sizeBytes - suffix, end: sizeBytes - 1 } };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1);
  if (last !== '' && Number(last) < start) return { kind: 'whole' };
  return start >= sizeBytes ? { kind: 'unsatisfiable' } : { kind: 'part', range: { start, end } };
}
