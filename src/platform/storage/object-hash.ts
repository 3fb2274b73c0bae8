import { createHash } from 'node:crypto';
import { discarded } from '#archive';
import type { StoredObject } from '#storage';

/** Hex SHA-256 of every byte; `moved` is awaited after each piece, with its length. */
export async function sha256Of(object: StoredObject, moved: (bytes: number) => void | Promise<void> = () => undefined): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of object.stream()) {
    hash.update(chunk);
    discarded(chunk.length);
    await moved(chunk.length);
  }
  return hash.digest('hex');
}
