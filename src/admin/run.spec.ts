import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { AppConfig } from '../config/app-config.js';
import { type AdminCommand, exitCodes } from './admin-command.js';
import { run } from './run.js';

const config = AppConfig.from({ DATABASE_URL: 'postgresql://u:pg-secret@127.0.0.1:1/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64') });

/** The one line that the command complains of. */
async function complaintOf(work: AdminCommand['run']): Promise<string> {
  const lines: string[] = [];
  const code = await run(['try'], () => config, { print: () => undefined, complain: (line) => lines.push(line) }, [{ name: 'try', options: '', summary: '', run: work }]);
  expect([code, lines]).toEqual([exitCodes.failed, [expect.stringMatching(/^holdfast-admin: .+$/)]]);
  return lines.join().slice('holdfast-admin: '.length);
}

it('says which database cannot be reached and what to do, without its password', async () => {
  const complaint = await complaintOf(async (context) => {
    await context.database();
    return exitCodes.done;
  });
  expect(complaint).toBe('PostgreSQL at 127.0.0.1:1: nothing takes connections there (ECONNREFUSED). See that it runs and that DATABASE_URL names it rightly');
});

it.each([
  ['ENOTFOUND', 'PostgreSQL at 127.0.0.1:1: this name is not known (ENOTFOUND)'],
  ['28P01', 'PostgreSQL at 127.0.0.1:1: password authentication failed for user "u"'],
])('says what PostgreSQL has against it: %s', async (code, begin) => {
  const error = Object.assign(new Error(code === '28P01' ? 'password authentication failed for user "u"' : ''), { code });
  expect(await complaintOf(() => Promise.reject(error))).toBe(`${begin}. See that it runs and that DATABASE_URL names it rightly`);
});

it('says which file it does not write over, or does not find', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'holdfast-')), 'acme.kit.json');
  await writeFile(file, 'an older kit');
  const write = async (): Promise<number> => {
    await writeFile(file, 'a kit', { flag: 'wx' });
    return exitCodes.done;
  };
  expect(await complaintOf(write)).toBe(`${file} is there already and is never written over; name another file (EEXIST)`);
  expect(await complaintOf(async () => (await readFile(`${file}.missing`)).length)).toBe(`${file}.missing is not there; check the path (ENOENT)`);
});

it('keeps the words of what nobody foresaw', async () => {
  expect(await complaintOf(() => Promise.reject(new Error('Odd')))).toBe('Odd');
});
