import { describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const module = new URL('../../dist/libs/archive/index.js', import.meta.url).href;

/** Lets go of 48 buffers of 1 MiB when each has outlived two young collections; says how much of them is left. */
const program = `
  import { collectEach, discarded } from ${JSON.stringify(module)};
  collectEach(8 * 1024 * 1024);
  const used = [];
  const before = process.memoryUsage().arrayBuffers;
  for (let n = 0; n < 48; n += 1) {
    used.push(Buffer.allocUnsafeSlow(1024 * 1024));
    if (used.length > 4) used.shift();
    discarded(8 * 1024 * 1024);
  }
  console.log(process.memoryUsage().arrayBuffers - before);
`;

describe('buffers that outlived young collections', () => {
  it('are collected after so many bytes where the process asked for it', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ['--no-concurrent-array-buffer-sweeping', '--input-type=module', '--eval', program]);
    expect(Number(stdout)).toBeLessThan(20 * 1024 * 1024);
  });
});
