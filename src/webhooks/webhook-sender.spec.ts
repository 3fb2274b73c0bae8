import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { answerWith, isSignedBy, WebhookReceiver } from '../../test/support/webhook-receiver.js';
import { AppConfig } from '../config/app-config.js';
import { TargetPolicy } from '../tenants/target-policy.js';
import { GuardedHttp } from './guarded-http.js';
import { signatureOf } from './webhook-signature.js';
import { WebhookSender } from './webhook-sender.js';

function http(env: Readonly<Record<string, string>> = {}): GuardedHttp {
  const config = AppConfig.from({ NODE_ENV: 'production', DATABASE_URL: 'postgresql://db/holdfast', HOLDFAST_SECRET_KEY: Buffer.alloc(32).toString('base64'), ...env });
  return new GuardedHttp(config, new TargetPolicy(config));
}

const sender = (env?: Readonly<Record<string, string>>): WebhookSender => new WebhookSender(http(env));

const message = { id: 'd1', event: 'maintenance.started', body: '{"type":"maintenance.started","message":"Zürich"}' };
const never = new AbortController().signal;
const codeOf = (url: string, env?: Readonly<Record<string, string>>) => http(env).check(url).then(() => 'allowed', (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error));

let receiver: WebhookReceiver;
beforeAll(async () => {
  receiver = await WebhookReceiver.start();
});
beforeEach(() => {
  receiver.received.length = 0;
  receiver.respond = answerWith(204);
});
afterAll(() => receiver.stop());

describe('in production', () => {
  it('takes no address of this machine, no plain http and no credentials', async () => {
    for (const url of ['https://127.0.0.1/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]:8443/', 'https://169.254.169.254/latest', 'https://0x7f.1/', 'https://2130706433/', 'https://localhost/']) {
      expect([url, await codeOf(url)]).toEqual([url, 'WEBHOOK_REFUSED']);
    }
    for (const url of ['http://192.0.2.7/', 'https://user:secret@192.0.2.7/', 'file:///etc/passwd', '', `https://192.0.2.7/${'x'.repeat(2000)}`]) expect(await codeOf(url)).toBe('WEBHOOK_INVALID');
    expect(await codeOf('https://192.0.2.7/hook')).toBe('allowed');
    expect(await codeOf('https://localhost/', { HOLDFAST_TARGET_ALLOW: 'localhost' })).toBe('allowed');
  });

  it('connects to no address of this machine, whatever the name resolved to when it was set', async () => {
    for (const host of ['localhost', '127.0.0.1', '[::ffff:127.0.0.1]']) {
      expect(await sender().send(`http://${host}:${receiver.port}/`, 's', message, never)).toEqual({ code: null, error: expect.stringMatching(/is this machine/) });
    }
    expect(receiver.received).toEqual([]);
    expect(await sender({ HOLDFAST_TARGET_ALLOW: 'localhost' }).send(`http://localhost:${receiver.port}/`, 's', message, never)).toEqual({ code: 204, error: null });
    expect(receiver.received).toHaveLength(1);
  });
});

describe('a message', () => {
  const send = (stop = never, url = receiver.url) => sender({ NODE_ENV: 'test' }).send(url, 'whsec_test', message, stop);

  it('is signed over its time and its bytes', async () => {
    await send();
    expect(receiver.received[0]!.body).toBe(message.body);
    expect(isSignedBy('whsec_test', receiver.received[0]!)).toBe(true);
    // A vector that other implementations can check themselves against.
    expect(signatureOf('whsec_test', '{"a":1}', new Date(1_700_000_000_000))).toBe('t=1700000000,v1=38877139021993b830af32feea6e18a8da83eb2f6e49ee50bd9e4cf4ca4d3789');
  });

  it('is taken by a 2xx alone', async () => {
    receiver.respond = answerWith(302, { location: receiver.url });
    expect(await send()).toEqual({ code: 302, error: 'Answered 302; redirects are not followed' });
    receiver.respond = answerWith(404);
    expect(await send()).toEqual({ code: 404, error: 'Answered 404' });
    expect(receiver.received).toHaveLength(2);
  });

  it('waits for no body that never ends, and stops when it is told to', async () => {
    receiver.respond = (_received, response) => void response.writeHead(200).write('and so on');
    expect(await send()).toEqual({ code: 200, error: null });
    receiver.respond = () => undefined;
    const stop = new AbortController();
    void receiver.untilReceived(2).then(() => stop.abort());
    expect(await send(stop.signal)).toMatchObject({ code: null, error: expect.any(String) });
  });

  it('says that nobody could be reached, and why to the server alone: whoever gives addresses must not learn which ports of a network are open', async () => {
    const gone = await WebhookReceiver.start();
    await gone.stop();
    const hasty = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    const other = createServer((socket) => void socket.on('error', () => undefined).resume().end('220 mail.internal ESMTP\r\n')).listen(0, '127.0.0.1');
    await Promise.all([once(hasty, 'listening'), once(other, 'listening')]);
    const urls = [gone.url, ...[hasty, other].map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`), `https://127.0.0.1:${receiver.port}/`];
    const answers = await Promise.all(urls.map((url) => send(never, url)));
    await Promise.all([hasty, other].map((server) => new Promise((closed) => server.close(closed))));
    expect(answers).toEqual(urls.map(() => ({ code: null, error: 'The address does not answer as an HTTP server', reason: expect.any(String) })));
    expect(answers[0]?.reason).toMatch(/ECONNREFUSED/);
    expect(JSON.stringify(answers)).not.toContain('of-the-address');
  });
});
