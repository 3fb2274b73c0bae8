import { expect, it } from '@jest/globals';
import { AppConfig } from '../../config/app-config.js';
import { SecretBox } from './secret-box.js';

const boxOf = (fill: number) => new SecretBox(AppConfig.from({ DATABASE_URL: 'postgresql://db/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32, fill).toString('base64') }));
const secret = 'mongodb://user:hunter2@db/';

it('opens what it sealed, for the same owner alone', () => {
  const sealed = boxOf(1).seal('target-uri', 'tenant-a', secret);
  expect(boxOf(1).open('target-uri', 'tenant-a', sealed)).toBe(secret);
  expect(() => boxOf(1).open('target-uri', 'tenant-b', sealed)).toThrow('cannot be read');
  expect(() => boxOf(1).open('token-signing', 'tenant-a', sealed)).toThrow('cannot be read');
  expect(() => boxOf(2).open('target-uri', 'tenant-a', sealed)).toThrow('cannot be read');
});

it('notices every changed or missing byte', () => {
  const sealed = boxOf(1).seal('target-uri', 'tenant-a', secret);
  for (let index = 0; index < sealed.length; index++) {
    const changed = Buffer.from(sealed);
    changed[index] = (changed[index] ?? 0) ^ 1;
    expect(() => boxOf(1).open('target-uri', 'tenant-a', changed)).toThrow('cannot be read');
    expect(() => boxOf(1).open('target-uri', 'tenant-a', sealed.subarray(0, index))).toThrow('cannot be read');
  }
});

it('never seals the same text to the same bytes', () => {
  expect(boxOf(1).seal('target-uri', 'a', secret)).not.toEqual(boxOf(1).seal('target-uri', 'a', secret));
});
