import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const module = new URL('../../dist/src/config/lean-process.js', import.meta.url).href;

/** V8's flags are the process's: each case has one of its own, which has made 2,000,000 small objects of which 20,000 live at a time. */
const program = `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { leanProcess, withRoomForObjects } from ${JSON.stringify(module)};
  if (process.argv.includes('lean')) leanProcess();
  const young = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size;
  const churn = () => {
    const alive = [];
    for (let n = 0; n < 2_000_000; n += 1) alive[n % 20_000] = { n, text: String(n) };
    return young();
  };
  const before = process.argv.includes('lean') ? churn() : young();
  const inside = await withRoomForObjects(async () => churn());
  const after = young();
  const error = await withRoomForObjects(() => Promise.reject(new Error('the work failed'))).catch(({ message }) => message);
  console.log(JSON.stringify({ before, inside, after, again: churn(), error }));
`;

async function sizes(...args: string[]): Promise<{ readonly before: number; readonly inside: number; readonly after: number; readonly again: number; readonly error: string }> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program, ...args], { cwd: fileURLToPath(new URL('.', import.meta.url)) });
  return JSON.parse(stdout) as Awaited<ReturnType<typeof sizes>>;
}

const buffersMade = 400;
const bufferBytes = 1024 * 1024;
const pagesOfBuffers = (buffersMade * bufferBytes) / 4096;

/** Makes buffers, writes to each, and lets go of it. */
const buffers = `
  import { leanProcess } from ${JSON.stringify(module)};
  if (process.argv.includes('lean')) leanProcess();
  const make = (times) => {
    for (let n = 0; n < times; n += 1) {
      const { buffer } = Buffer.allocUnsafeSlow(${bufferBytes}).fill(n);
      buffer.transfer(0);
    }
  };
  make(8);
  const before = process.resourceUsage().minorPageFault;
  make(${buffersMade});
  console.log(process.resourceUsage().minorPageFault - before);
`;

describe('the memory of buffers', () => {
  it('is used again in a lean process instead of asked of the system page by page', async () => {
    const { MALLOC_ARENA_MAX: _, ...env } = process.env;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', buffers, 'lean'], { cwd: fileURLToPath(new URL('.', import.meta.url)), env });
    expect(Number(stdout)).toBeLessThan(pagesOfBuffers / 10);
  });
});

describe('room for objects', () => {
  it('lets the young generation of a lean process grow, and takes it back', async () => {
    const { before, inside, after, again, error } = await sizes('lean');
    expect(inside).toBeGreaterThan(2 * before);
    expect(after).toBeLessThanOrEqual(before);
    expect(again).toBeLessThanOrEqual(before);
    expect(error).toBe('the work failed');
  });

  it('changes nothing in any other process', async () => {
    const { inside, after, again } = await sizes();
    expect(after).toBe(inside);
    expect(again).toBeGreaterThanOrEqual(after);
  });
});
