import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from '@jest/globals';
import { AppConfig } from './app-config.js';
import { configurationTable } from './configuration-table.js';
import { variableNames } from './env.schema.js';
import { ConfigurationError, parseEnvironment, type RawEnvironment } from './parse-environment.js';

const key = Buffer.alloc(32, 7).toString('base64');
const valid: RawEnvironment = { DATABASE_URL: 'postgresql://u:pg-secret@db:5432/holdfast', HOLDFAST_SECRET_KEY: key };

function problems(raw: RawEnvironment): readonly string[] {
  try {
    parseEnvironment({ ...valid, ...raw });
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}

describe('the environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-config-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('needs no more than a database and a secret key', () => {
    const config = AppConfig.from(valid);
    expect(config).toMatchObject({ host: '127.0.0.1', port: 4000, publicUrl: 'http://127.0.0.1:4000', role: 'all', introspection: true, admin: null, hostProduct: null });
    expect(config.storeUrl).toBe(`file://${join(process.cwd(), '.holdfast/store')}`);
    expect(config.limits).toEqual({ requestsPerMinute: 3000, maxDepth: 12, maxCost: 1000, maxAliases: 30, socketsPerActor: 100, fullReads: 8, fullReadsPerTenant: 2, loginTries: 10, loginTriesPerAddress: 100 });
  });

  it('is refused with every problem at once, each naming its variable', () => {
    expect(() => parseEnvironment({ HOLDFAST_PORT: '70000', HOLDFAST_ROLE: 'both', HOLDFAST_LOG_LEVEL: 'loud', NODE_ENV: 'prod' })).toThrow(ConfigurationError);
    const named = problems({ DATABASE_URL: undefined, HOLDFAST_SECRET_KEY: '', HOLDFAST_PORT: '70000', HOLDFAST_ROLE: 'both', HOLDFAST_ADMIN_EMAIL: 'a@b.example' }).map((line) => line.split(':')[0]);
    expect(named.sort()).toEqual(['DATABASE_URL', 'HOLDFAST_ADMIN_PASSWORD', 'HOLDFAST_PORT', 'HOLDFAST_ROLE', 'HOLDFAST_SECRET_KEY']);
  });

  it.each([
    ['DATABASE_URL', 'mysql://db/holdfast'],
    ['MONGODB_URI', 'http://db'],
    ['BACKUP_ENCRYPTION_KEYS_OLD', `${key},short`],
    ['HOLDFAST_SECRET_KEY', 'c2hvcnQ='],
    ['HOLDFAST_PORT', '0'],
    ['HOLDFAST_PORT', '4000x'],
    ['HOLDFAST_PUBLIC_URL', 'backup.example.com'],
    ['HOLDFAST_STORE_URL', 'file://relative/path'],
    ['HOLDFAST_STORE_URL', '/var/lib/store'],
    ['HOLDFAST_JWT_CLAIMS', '{"tenant":'],
    ['HOLDFAST_JWT_CLAIMS', '{"tennant":"t"}'],
    ['HOLDFAST_TRUSTED_PROXIES', '10.0.0.0/33'],
    ['HOLDFAST_TARGET_ALLOW', 'bad host'],
    ['HOLDFAST_INTROSPECTION', 'maybe'],
    ['HOLDFAST_MAX_DEPTH', '-1'],
  ])('names %s when it is %s', (name, value) => {
    expect(problems({ [name]: value })).toEqual([expect.stringMatching(`^${name}: `)]);
  });

  it('takes an s3 store, and says what is wrong with its address', () => {
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket/prefix?endpoint=https://s3.example.com&region=eu-1' })).toEqual([]);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?objectLock=COMPLIANCE&objectLockDays=30' })).toEqual([]);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?objectLock=COMPLIANCE' })).toEqual(['HOLDFAST_STORE_URL: objectLock needs objectLockDays, a whole number from 1 to 3650']);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?objectLock=forever&objectLockDays=1' })).toEqual([expect.stringMatching(/^HOLDFAST_STORE_URL: objectLock must be GOVERNANCE or COMPLIANCE/)]);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?objectLockDays=7' })).toEqual([expect.stringMatching(/^HOLDFAST_STORE_URL: objectLock must be/)]);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?objectLock=GOVERNANCE&objectLockDays=0' })).toEqual(['HOLDFAST_STORE_URL: objectLockDays must be a whole number from 1 to 3650']);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?endpoint=nowhere' })).toEqual(['HOLDFAST_STORE_URL: endpoint must be an address such as https://host:port']);
    expect(problems({ HOLDFAST_STORE_URL: 's3://key:secret@bucket' })).toEqual(['HOLDFAST_STORE_URL: must hold no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY']);
    expect(problems({ HOLDFAST_STORE_URL: 's3://bucket?regoin=x' })).toEqual([expect.stringMatching(/^HOLDFAST_STORE_URL: regoin is not known/)]);
  });

  it('never shows a secret in a problem', () => {
    const all = problems({ DATABASE_URL: 'mysql://u:pg-secret@db', HOLDFAST_SECRET_KEY: 'app-secret', HOLDFAST_ADMIN_PASSWORD: 'pw-secret', BACKUP_ENCRYPTION_KEYS_OLD: 'old-secret' }).join('\n');
    expect(all).toContain('DATABASE_URL');
    expect(all).not.toContain('secret@');
    expect(all).not.toMatch(/(pg|app|pw|old)-secret/);
  });

  it('boots with a malformed backup key, and tells an unset one from an empty one', () => {
    expect(AppConfig.from({ ...valid, BACKUP_ENCRYPTION_KEY: 'nonsense' }).backupEncryptionKey).toBe('nonsense');
    expect(AppConfig.from({ ...valid, BACKUP_ENCRYPTION_KEY: '' }).backupEncryptionKey).toBe('');
    expect(AppConfig.from(valid).backupEncryptionKey).toBeUndefined();
  });

  it('takes any other empty value as unset', () => {
    expect(AppConfig.from({ ...valid, HOLDFAST_PORT: '', HOLDFAST_STORE_URL: '' }).port).toBe(4000);
  });

  it('reads secrets from files, without the line end of the file', () => {
    const file = join(folder, 'key');
    writeFileSync(file, `${key}\n`);
    expect(AppConfig.from({ ...valid, HOLDFAST_SECRET_KEY: undefined, HOLDFAST_SECRET_KEY_FILE: file }).secretKey).toEqual(Buffer.alloc(32, 7));
  });

  it('refuses a secret that is given twice, and a file that cannot be read', () => {
    expect(problems({ HOLDFAST_SECRET_KEY_FILE: '/nowhere' })).toEqual([expect.stringMatching(/^HOLDFAST_SECRET_KEY_FILE: set together/)]);
    expect(problems({ HOLDFAST_SECRET_KEY: undefined, HOLDFAST_SECRET_KEY_FILE: '/nowhere' })).toEqual(['HOLDFAST_SECRET_KEY_FILE: the file /nowhere cannot be read (ENOENT)']);
  });

  it('refuses a misspelt variable with the name that was meant, and warns of one it does not know', () => {
    expect(problems({ HOLDFAST_PUBLC_URL: 'https://x.example' })).toEqual(['HOLDFAST_PUBLC_URL: no such variable; did you mean HOLDFAST_PUBLIC_URL?']);
    expect(parseEnvironment({ ...valid, HOLDFAST_SERVICE_PORT_HTTP: '1' }).warnings).toEqual(['HOLDFAST_SERVICE_PORT_HTTP: no such variable; it is ignored']);
  });

  it('refuses in production what only development may have', () => {
    const inProduction = { NODE_ENV: 'production' };
    for (const url of ['outbox:', 'http://sid:token@127.0.0.1:9?from=%2B4930123456']) expect(problems({ ...inProduction, HOLDFAST_SMS_URL: url })).toEqual(['HOLDFAST_SMS_URL: must begin with https:// when NODE_ENV is production']);
    expect(problems({ ...inProduction, HOLDFAST_SMS_URL: 'https://sid:token@sms.example?from=%2B4930123456' })).toEqual([]);
    expect(problems({ ...inProduction, HOLDFAST_FAULT_POINTS: 'restore.swap' })).toEqual(['HOLDFAST_FAULT_POINTS: refused when NODE_ENV is production']);
    expect(AppConfig.from({ ...valid, ...inProduction }).introspection).toBe(false);
    expect(problems({ HOLDFAST_FAULT_POINTS: 'restore.swap' })).toEqual([]);
  });

  it('wants the three variables of a host product together', () => {
    expect(problems({ HOLDFAST_JWKS_URL: 'https://p.example/jwks' }).map((line) => line.split(':')[0])).toEqual(['HOLDFAST_JWT_ISSUER', 'HOLDFAST_JWT_AUDIENCE']);
    const config = AppConfig.from({ ...valid, HOLDFAST_JWKS_URL: 'https://p.example/jwks', HOLDFAST_JWT_ISSUER: 'p', HOLDFAST_JWT_AUDIENCE: 'h', HOLDFAST_JWT_CLAIMS: '{"tenant":"org"}' });
    expect(config.hostProduct?.claims).toMatchObject({ subject: 'sub', tenant: 'org' });
  });

  it('never prints itself with its secrets', () => {
    const config = AppConfig.from({ ...valid, BACKUP_ENCRYPTION_KEY: 'bk-secret' });
    for (const text of [inspect(config), JSON.stringify(config), inspect({ nested: config })]) expect(text).not.toMatch(/secret|BwcH/);
  });
});

describe('docs/configuration.md', () => {
  it('holds the table of the schema, variable by variable', () => {
    const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('|'));
    expect(rows.join('\n')).toBe(configurationTable());
    expect(rows).toHaveLength(variableNames.length + 2);
  });
});
