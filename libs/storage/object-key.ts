import { AppError } from '#errors';

const segment = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;
const maxLength = 900;

/**
 * The segments of a key. A segment begins with no dot (`..` would climb, and a store's own files do), and no key is longer than S3 allows with a
 * prefix before it.
 *
 * @throws AppError BAD_USER_INPUT
 */
export function segmentsOf(key: string): readonly string[] {
  const segments = key.split('/');
  if (key.length > maxLength || !segments.every((name) => segment.test(name))) throw new AppError('BAD_USER_INPUT', 'The name of the stored object is not allowed');
  return segments;
}

/** Like a key, but its end may be missing: the empty prefix is everything. */
export function checkPrefix(prefix: string): void {
  const segments = prefix.split('/');
  const last = segments.pop() ?? '';
  if (prefix.length > maxLength || !segments.every((name) => segment.test(name)) || (last !== '' && !segment.test(last))) {
    throw new AppError('BAD_USER_INPUT', 'The prefix of the stored objects is not allowed');
  }
}
