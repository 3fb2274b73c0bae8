import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly json: { readonly id: string; readonly type: string; readonly revision: number; readonly sessionEpoch: number; readonly tenant: { readonly id: string }; readonly maintenance: { readonly on: boolean; readonly message: string | null; readonly operation: string | null } };
}

export type Responder = (request: Received, response: ServerResponse) => void;

export const answerWith =
  (code: number, headers: Readonly<Record<string, string>> = {}): Responder =>
  (_request, response) =>
    void response.writeHead(code, headers).end();

/** The product's side: a real HTTP server that remembers what it was sent. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  private waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  private constructor(
    private readonly server: Server,
    readonly port: number,
    public respond: Responder,
  ) {}

  static async start(respond: Responder = answerWith(204)): Promise<WebhookReceiver> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const receiver = new WebhookReceiver(server, (server.address() as AddressInfo).port, respond);
    server.on('request', (request, response) => void receiver.take(request, response));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/holdfast?token=of-the-address`;
  }

  types(): string[] {
    return this.received.map(({ json }) => json.type);
  }

  /** Resolves once `count` requests have arrived in all. */
  async untilReceived(count: number): Promise<void> {
    if (this.received.length < count) await new Promise<void>((resolve) => this.waiting.push({ count, resolve }));
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks).toString('utf8');
    const received: Received = { headers: request.headers, body, json: JSON.parse(body) as Received['json'] };
    this.received.push(received);
    this.respond(received, response);
    this.waiting = this.waiting.filter(({ count, resolve }) => {
      if (this.received.length >= count) resolve();
      return this.received.length < count;
    });
  }
}

/** As the documentation tells products to do it. */
export function isSignedBy(secret: string, { headers, body }: Received, now = Date.now()): boolean {
  const [, t = '', v1 = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['holdfast-signature'])) ?? [];
  const expected = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
  return v1 === expected && Math.abs(now / 1000 - Number(t)) < 300;
}
