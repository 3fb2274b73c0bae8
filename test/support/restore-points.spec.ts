import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { committedPoints, mergePoints, uncommittedPoints } from './restore-points.ts';

const root = resolve(import.meta.dirname, '../..');

/** Names at which the code of a restore, its safety backup included, may be stopped; a part that is computed counts as a number. */
async function pointsInCode(): Promise<string[]> {
  const found = new Set<string>();
  for (const folder of ['src/restore', 'src/backups']) {
    for (const file of await readdir(join(root, folder))) {
      if (!file.endsWith('.ts') || file.endsWith('.spec.ts')) continue;
      const lines = (await readFile(join(root, folder, file), 'utf8')).split('\n').filter((line) => /faultPoint\(|haltingIn\(/.test(line));
      for (const [, name = ''] of lines.join('\n').matchAll(/['`]((?:restore|backup)\.[^'`]+)['`]/g)) found.add(name.replace(/\$\{\w+\}/, '#'));
    }
  }
  return [...found].sort();
}

describe('the places where tests stop a restore', () => {
  it('are all those that the code has', async () => {
    const listed = [...uncommittedPoints, ...committedPoints(1), ...mergePoints.uncommitted, ...mergePoints.committed].map((name) => name.replace(/\.\d+$/, '.#'));
    expect(await pointsInCode()).toEqual([...new Set(listed)].sort());
  });
});
