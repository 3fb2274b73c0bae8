import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';

export interface ReceivedMail {
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  /** The decoded body of a plain text message. */
  readonly text: string;
}

/** A real SMTP server that remembers what it was sent. */
export class MailReceiver {
  readonly received: ReceivedMail[] = [];
  /** Set to refuse every recipient with this answer. */
  refusal: string | null = null;
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  private readonly server: SMTPServer;

  private constructor(login: { readonly user: string; readonly password: string } | null) {
    this.server = new SMTPServer({
      authOptional: login === null,
      disabledCommands: ['STARTTLS', ...(login === null ? ['AUTH'] : [])],
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, callback) => {
        if (username === login?.user && password === login?.password) callback(null, { user: username });
        else callback(new Error('Invalid user name or password'));
      },
      onRcptTo: (_address, _session, callback) => callback(this.refusal === null ? null : Object.assign(new Error(this.refusal), { responseCode: 550 })),
      onData: (stream, session, callback) => void this.take(stream, session).then(() => callback(), callback),
    });
    this.server.on('error', () => undefined);
  }

  static async start(login: { readonly user: string; readonly password: string } | null = null): Promise<MailReceiver> {
    const receiver = new MailReceiver(login);
    await new Promise<void>((resolve) => receiver.server.listen(0, '127.0.0.1', resolve));
    return receiver;
  }

  get port(): number {
    return (this.server.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  /** Resolves once `count` messages have arrived in all. */
  async untilReceived(count: number): Promise<void> {
    if (this.received.length < count) await new Promise<void>((resolve) => this.waiting.push({ count, resolve }));
  }

  async stop(): Promise<void> {
    await new Promise<void>((resolve) => this.server.close(resolve));
  }

  private async take(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const [head = '', ...body] = Buffer.concat(chunks).toString('utf8').split('\r\n\r\n');
    const header = (name: string): string => new RegExp(`^${name}: (.*(?:\r\n[ \t].*)*)`, 'im').exec(head)?.[1]?.replace(/\r\n[ \t]/g, ' ') ?? '';
    const { mailFrom, rcptTo } = session.envelope;
    this.received.push({
      from: mailFrom === false ? '' : mailFrom.address,
      to: rcptTo.map(({ address }) => address).join(', '),
      subject: header('Subject'),
      text: decoded(body.join('\r\n\r\n'), header('Content-Transfer-Encoding').toLowerCase()).replaceAll('\r\n', '\n').trimEnd(),
    });
    this.waiting = this.waiting.filter(({ count, resolve }) => {
      if (this.received.length >= count) resolve();
      return this.received.length < count;
    });
  }
}

function decoded(body: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(body, 'base64').toString('utf8');
  if (encoding !== 'quoted-printable') return body;
  const bytes = body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
