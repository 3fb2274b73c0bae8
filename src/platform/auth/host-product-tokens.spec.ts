import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { SignJWT } from 'jose';
import { KeyServer } from '../../../test/support/key-server.ts';
import { AppConfig } from '../../config/app-config.js';
import { HostProductTokens } from './host-product-tokens.js';

const issuer = 'https://product.example';
const audience = 'holdfast';
const keyServer = new KeyServer();
let tokens: HostProductTokens;

beforeEach(async () => {
  await keyServer.rotate('first');
  const url = await keyServer.start();
  const config = AppConfig.from({
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
    HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    HOLDFAST_JWKS_URL: url,
    HOLDFAST_JWT_ISSUER: issuer,
    HOLDFAST_JWT_AUDIENCE: audience,
  });
  tokens = new HostProductTokens(config);
});
afterEach(() => {
  jest.useRealTimers();
  keyServer.stop();
});

async function signed(claims: Record<string, unknown> = {}): Promise<string> {
  const [[kid, pair] = []] = keyServer.keys;
  if (kid === undefined || pair === undefined) throw new Error('The key server has no key');
  return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid }).setSubject('somebody').setIssuer(issuer).setAudience(audience).setExpirationTime('1h').sign(pair.privateKey);
}

/** The keys are fetched again at most every 10 seconds; only the clock is moved, not the timers of the network. */
function letTimePass(seconds: number): void {
  const now = Date.now() + seconds * 1000;
  jest.useRealTimers();
  jest.useFakeTimers({
    now,
    doNotFake: ['hrtime', 'nextTick', 'performance', 'queueMicrotask', 'setImmediate', 'clearImmediate', 'setInterval', 'clearInterval', 'setTimeout', 'clearTimeout'],
  });
}

describe('a phone number in a token of a host product', () => {
  it.each([
    [{ phone_number: '+4930123456' }, '+4930123456'],
    [{ phone_number: '+4930123456', phone_number_verified: true }, '+4930123456'],
    [{ phone_number: '+4930123456', phone_number_verified: false }, null],
    [{ phone_number: '030 123456' }, null],
    [{ phone_number: 4930123456 }, null],
    [{}, null],
  ])('is taken in E.164 if the product vouches for it: %j', async (claims, phone) => {
    expect(await tokens.verify(await signed(claims))).toMatchObject({ phone });
  });
});

describe('text in a token of a host product that cannot be stored', () => {
  it('is mended in a name, which a product may have cut within an emoji', async () => {
    expect(await tokens.verify(await signed({ name: `Ada ${'🎉'.slice(0, 1)}`, email: 'a@b.example' }))).toMatchObject({ name: 'Ada \uFFFD', email: 'a@b.example' });
  });

  it('is as if it was not there elsewhere, so that nobody becomes somebody else', async () => {
    const claims = { name: 'A\0', email: 'a\0@b.example', tenant: ['a\0', '\uD800', 'acme'], role: 'admin' };
    expect(await tokens.verify(await signed(claims))).toMatchObject({ name: null, email: null, memberships: [{ tenant: 'acme', role: 'ADMIN' }] });
    expect(await tokens.verify(await signed({ jti: 'a\0' }))).toBeNull();
  });
});

describe('tokens of a host product whose keys rotate', () => {
  it('are taken from the new key and no longer from the old one, without a restart', async () => {
    const old = await signed();
    expect(await tokens.verify(old)).toMatchObject({ subject: 'somebody' });
    await keyServer.rotate('second');
    letTimePass(11);
    expect(await tokens.verify(await signed())).toMatchObject({ subject: 'somebody' });
    expect(await tokens.verify(old)).toBeNull();
  });

  it('of an unknown key do not make the keys be fetched again and again', async () => {
    expect(await tokens.verify(await signed())).not.toBeNull();
    await keyServer.rotate('second');
    const unknown = await signed();
    expect(await tokens.verify(unknown)).toBeNull();
    letTimePass(11);
    expect(await tokens.verify(unknown)).not.toBeNull();
  });
});
