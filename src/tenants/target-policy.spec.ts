import { describe, expect, it } from '@jest/globals';
import { AppConfig } from '../config/app-config.js';
import { isOwnMachine, TargetPolicy } from './target-policy.js';

function policy(env: Record<string, string> = {}): TargetPolicy {
  return new TargetPolicy(
    AppConfig.from({ NODE_ENV: 'production', DATABASE_URL: 'postgresql://db/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32).toString('base64'), ...env }),
  );
}

const check = (uri: string, env: Record<string, string> = {}, addresses: string[] = ['192.0.2.7'], database = 'shop') =>
  policy(env)
    .check({ uri, database }, () => Promise.resolve(addresses))
    .then(() => 'allowed', (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error));

describe('the machine itself', () => {
  it.each(['127.0.0.1', '127.8.8.8', '0.0.0.0', '169.254.169.254', '::1', '::', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:169.254.169.254', '::127.0.0.1', 'fe80::1', '64:ff9b::7f00:1', '2002:7f00:1::', '168.63.129.16', '100.100.100.200', '192.0.0.192', '::ffff:168.63.129.16'])(
    'is meant by %s',
    (address) => expect(isOwnMachine(address)).toBe(true),
  );

  it.each(['192.0.2.7', '10.0.0.1', '128.0.0.1', '2001:db8::1', 'fd00::1', '::ffff:10.0.0.1', '64:ff9b::c000:207'])('is not meant by %s', (address) => expect(isOwnMachine(address)).toBe(false));
});

describe('a target in production', () => {
  it('may lie anywhere but on this machine, by whatever name', async () => {
    expect(await check('mongodb://db.example:27017/')).toBe('allowed');
    expect(await check('mongodb://127.0.0.1:27017/')).toBe('TARGET_REFUSED');
    expect(await check('mongodb://[::1]:27017/')).toBe('TARGET_REFUSED');
    expect(await check('mongodb://[::ffff:127.0.0.1]/')).toBe('TARGET_REFUSED');
    expect(await check('mongodb://%2Ftmp%2Fmongodb-27017.sock/')).toBe('TARGET_REFUSED');
  });

  it('is refused if any address of any of its hosts is this machine', async () => {
    expect(await check('mongodb://db.example/', {}, ['192.0.2.7', '127.0.0.1'])).toBe('TARGET_REFUSED');
    expect(await check('mongodb://192.0.2.7,localhost/', {}, ['::1'])).toBe('TARGET_REFUSED');
    expect(await check('mongodb://192.0.2.7/?proxyHost=127.0.0.1')).toBe('TARGET_REFUSED');
  });

  it('may be on the list of exceptions, by name, name and port, range or pattern', async () => {
    expect(await check('mongodb://localhost/', { HOLDFAST_TARGET_ALLOW: 'localhost' }, ['127.0.0.1'])).toBe('allowed');
    expect(await check('mongodb://localhost:27018/', { HOLDFAST_TARGET_ALLOW: 'localhost:27018' }, ['127.0.0.1'])).toBe('allowed');
    expect(await check('mongodb://localhost:27019/', { HOLDFAST_TARGET_ALLOW: 'localhost:27018' }, ['127.0.0.1'])).toBe('TARGET_REFUSED');
    expect(await check('mongodb://[::1]:27018/', { HOLDFAST_TARGET_ALLOW: '[::1]:27018' })).toBe('allowed');
    expect(await check('mongodb://169.254.1.2/', { HOLDFAST_TARGET_ALLOW: '169.254.1.0/24' })).toBe('allowed');
    expect(await check('mongodb://a.node.local/', { HOLDFAST_TARGET_ALLOW: '*.node.local' }, ['127.0.0.1'])).toBe('allowed');
    expect(await check('mongodb://evilnode.local/', { HOLDFAST_TARGET_ALLOW: '*.node.local' }, ['127.0.0.1'])).toBe('TARGET_REFUSED');
  });

  it('never is a database of the server itself, and has a name that MongoDB allows', async () => {
    for (const database of ['admin', 'LOCAL', 'config']) expect(await check('mongodb://db.example/', {}, [], database)).toBe('TARGET_REFUSED');
    for (const database of ['', 'a b', 'a.b', 'a/b', 'a$b', 'x'.repeat(64)]) expect(await check('mongodb://db.example/', {}, [], database)).toBe('TARGET_INVALID');
  });

  it('has a connection string that can be read', async () => {
    for (const uri of ['', 'db.example', 'http://db.example', 'mongodb://', 'mongodb://%E0%A4%A/']) expect(await check(uri)).toBe('TARGET_INVALID');
  });
});

it('may be this machine outside production', async () => {
  expect(await check('mongodb://127.0.0.1/', { NODE_ENV: 'development' })).toBe('allowed');
});
