import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { withLock } from './lock.mjs';
import { identifyProcess, isRunning } from './process-identity.mjs';

const lockModule = new URL('./lock.mjs', import.meta.url).href;

describe('the lock of a start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-lock-'));
  const path = join(folder, 'lock');
  let holder: ChildProcess;

  beforeAll(async () => {
    holder = spawn(process.execPath, ['--input-type=module', '-e', `import { withLock } from ${JSON.stringify(lockModule)}; await withLock(${JSON.stringify(path)}, () => {}, () => new Promise((end) => { console.log('held'); process.stdin.once('data', end); }));`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (holder.stdout !== null) await once(holder.stdout, 'data');
  });

  afterAll(() => {
    holder.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('makes a second start wait for the first, and says for whom', async () => {
    const events: string[] = [];
    const second = withLock(
      path,
      ({ pid }) => {
        events.push(`waits for ${pid}`);
        holder.stdin?.end('go on');
      },
      () => {
        events.push('works');
        return Promise.resolve();
      },
    );
    await second;
    expect(events).toEqual([`waits for ${holder.pid}`, 'works']);
    expect(existsSync(path)).toBe(false);
  });

  it('is taken over when its owner is gone', async () => {
    const owner = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await once(owner, 'spawn');
    writeFileSync(path, JSON.stringify(identifyProcess(owner.pid ?? 0)));
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    expect(await withLock(path, () => undefined, () => Promise.resolve(readFileSync(path, 'utf8')))).toContain(`"pid":${process.pid}`);
  });

  it('is taken over when another program has the pid of its owner by now', async () => {
    writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: 'some other time' }));
    expect(await withLock(path, () => undefined, () => Promise.resolve('taken'))).toBe('taken');
  });

  it('is taken over when it holds nothing that makes sense', async () => {
    writeFileSync(path, '');
    expect(await withLock(path, () => undefined, () => Promise.resolve('taken'))).toBe('taken');
  });

  it('lets only one of many in at a time', async () => {
    let inside = 0;
    let most = 0;
    writeFileSync(path, JSON.stringify({ pid: 999_999_999, startedAt: 'never' }));
    const [first, second] = [join(folder, 'a'), join(folder, 'b')];
    // Two waiters of one process stand for two processes: neither knows of the other but by the file.
    await Promise.all(
      [first, second, first, second].map(() =>
        withLock(path, () => undefined, async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((wake) => setImmediate(wake));
          inside -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
  });
});

describe('a process identity', () => {
  it('names this process, and no process that has ended', async () => {
    const self = identifyProcess(process.pid);
    expect(self).not.toBeNull();
    expect(self !== null && isRunning(self)).toBe(true);
    const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
    await once(child, 'exit');
    expect(identifyProcess(child.pid ?? 0)).toBeNull();
  });
});
