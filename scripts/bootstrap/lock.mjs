import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { identifyProcess, isRunning } from './process-identity.mjs';

/**
 * Runs `work` while no other process holds the lock file. A lock whose owner is gone (pid and start time) is stale and
 * taken over.
 *
 * @template T
 * @param {string} path
 * @param {(owner: {pid: number}) => void} onWait called once if somebody else holds it
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, onWait, work) {
  let told = false;
  for (;;) {
    const owner = tryLock(path);
    if (owner === null) break;
    if (!told) onWait(owner);
    told = true;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  const release = () => rmSync(path, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

/** Null if the lock is ours now, else its owner. The file appears whole, by a hard link, or not at all. */
function tryLock(path) {
  const draft = `${path}.${randomBytes(6).toString('hex')}`;
  const mine = JSON.stringify(identifyProcess(process.pid));
  writeFileSync(draft, mine);
  try {
    linkSync(draft, path);
    return null;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  const text = read(path);
  if (text === null) return { pid: 0 };
  const owner = parse(text);
  if (owner !== null && isRunning(owner)) return owner;
  // Two waiters may both see a stale lock. Only the one that moves away the very text that it judged may go on.
  const aside = `${draft}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return { pid: 0 };
  }
  if (read(aside) !== text) {
    try {
      linkSync(aside, path);
    } catch {
      // A third process has taken it meanwhile.
    }
  }
  rmSync(aside, { force: true });
  return { pid: owner?.pid ?? 0 };
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function parse(text) {
  try {
    const owner = JSON.parse(text);
    return Number.isInteger(owner?.pid) ? owner : null;
  } catch {
    return null;
  }
}
