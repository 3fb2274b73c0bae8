import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MailReceiver } from '../../../test/support/mail-receiver.ts';
import { AppConfig } from '../../config/app-config.js';
import { Mailer } from './mailer.js';

const login = { user: 'holdfast', password: 'hunter2-of-the-mail-server' };
let server: MailReceiver;

beforeAll(async () => {
  server = await MailReceiver.start(login);
});

afterAll(() => server.stop());

function mailer(url: string | null): Mailer {
  const mail: Record<string, string> = url === null ? {} : { HOLDFAST_SMTP_URL: url, HOLDFAST_MAIL_FROM: 'Holdfast <backup@product.example>' };
  return new Mailer(AppConfig.from({ DATABASE_URL: 'postgresql://localhost/x', HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'), ...mail }));
}

const mail = { to: 'owner@tenant.example', subject: 'Ein Test', text: 'Grüße – 100 % = all\n\nEnd' };

describe('the mailer', () => {
  it('hands a message to the server, with the login of the address', async () => {
    const sender = mailer(`smtp://${login.user}:${login.password}@127.0.0.1:${server.port}`);
    await sender.send(mail);
    expect(server.received).toEqual([{ from: 'backup@product.example', ...mail }]);
    sender.onApplicationShutdown();
  });

  it('says why a message was not taken, without the password', async () => {
    const wrong = mailer(`smtp://${login.user}:not-${login.password}@127.0.0.1:${server.port}`);
    const refused = await wrong.send(mail).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'MAIL_FAILED', message: expect.stringContaining('Invalid user name or password') });
    expect(String(refused)).not.toContain(login.password);

    const sender = mailer(`smtp://${login.user}:${login.password}@127.0.0.1:${server.port}`);
    server.refusal = 'No such mailbox';
    await expect(sender.send(mail)).rejects.toMatchObject({ code: 'MAIL_FAILED', message: expect.stringContaining('No such mailbox') });
    server.refusal = null;
    sender.onApplicationShutdown();
  });

  it('takes an address as one address, whatever it holds', async () => {
    const sender = mailer(`smtp://${login.user}:${login.password}@127.0.0.1:${server.port}`);
    const before = server.received.length;
    await sender.send({ ...mail, to: 'a@tenant.example, b@other.example' }).catch(() => undefined);
    expect(server.received.slice(before).map(({ to }) => to)).not.toContain('a@tenant.example, b@other.example');
    await sender.send({ ...mail, subject: 'One\r\nBcc: thief@other.example' });
    expect(server.received.at(-1)?.to).toBe(mail.to);
    sender.onApplicationShutdown();
  });

  it('sends nothing where no server is configured', async () => {
    expect(mailer(null).isConfigured).toBe(false);
    await expect(mailer(null).send(mail)).rejects.toMatchObject({ code: 'MAIL_NOT_CONFIGURED' });
  });

  it('needs an address to send from', () => {
    expect(() => AppConfig.from({ DATABASE_URL: 'postgresql://localhost/x', HOLDFAST_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'), HOLDFAST_SMTP_URL: 'smtp://localhost' })).toThrow('HOLDFAST_MAIL_FROM');
  });
});
