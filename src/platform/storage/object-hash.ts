import { createHash } from 'node:crypto';
import type { StoredObject } from '#storage';

/** Hex SHA-256 of every byte; `moved` is awaited after each piece. */
export async function sha256Of(object: StoredObject, moved: () => Promise<void> = () => Promise.resolve()): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of object.stream()) {
    hash.update(chunk);
    await moved();
  }
  return hash.digest('hex');
}
