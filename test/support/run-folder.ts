import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identifyProcess, isRunning, type ProcessIdentity } from '../../scripts/bootstrap/process-identity.mjs';
import { endProcess } from '../../scripts/servers/end-process.ts';

const prefix = 'holdfast-test-';

/**
 * One test run's folder below the temporary folder. Every server that a test starts is noted in it, so that the end of
 * the run, or the next run if this one is killed, stops what is left and removes the files.
 */
export function createRunFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), prefix));
  // PostgreSQL may run as another user than the tests.
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'owner.json'), JSON.stringify(identifyProcess(process.pid)));
  return folder;
}

export async function noteServer(run: string, identity: ProcessIdentity): Promise<void> {
  await mkdir(join(run, 'servers'), { recursive: true });
  await writeFile(join(run, 'servers', `${identity.pid}.json`), JSON.stringify(identity));
}

export async function removeRunFolder(run: string): Promise<void> {
  const names = await readdir(join(run, 'servers')).catch(() => []);
  await Promise.all(
    names.map(async (name) => {
      const identity = await readIdentity(join(run, 'servers', name));
      if (identity !== null) await endProcess(identity, 'SIGKILL');
    }),
  );
  await rm(run, { recursive: true, force: true, maxRetries: 5 });
}

/** Runs that were killed before they could tidy up. */
export async function removeAbandonedRuns(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const run = join(tmpdir(), name);
    const owner = await readIdentity(join(run, 'owner.json'));
    if (owner !== null && !isRunning(owner)) await removeRunFolder(run).catch(() => undefined);
  }
}

async function readIdentity(path: string): Promise<ProcessIdentity | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ProcessIdentity;
  } catch {
    return null;
  }
}
