import { createHmac } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { HttpReceiver, type ReceivedRequest } from './http-receiver.ts';

interface Received extends ReceivedRequest {
  readonly json: { readonly id: string; readonly type: string; readonly revision: number; readonly sessionEpoch: number; readonly tenant: { readonly id: string }; readonly maintenance: { readonly on: boolean; readonly message: string | null; readonly operation: string | null } };
}

type Responder = (request: Received, response: ServerResponse) => void;

export const answerWith =
  (code: number, headers: Readonly<Record<string, string>> = {}): Responder =>
  (_request, response) =>
    void response.writeHead(code, headers).end();

/** The product's side: a real HTTP server that remembers what it was sent. */
export class WebhookReceiver {
  readonly received: Received[] = [];

  private constructor(
    private readonly http: HttpReceiver,
    public respond: Responder,
  ) {
    http.respond = (request, response) => {
      const received: Received = { ...request, json: JSON.parse(request.body) as Received['json'] };
      this.received.push(received);
      this.respond(received, response);
    };
  }

  static async start(respond: Responder = answerWith(204)): Promise<WebhookReceiver> {
    return new WebhookReceiver(await HttpReceiver.start(), respond);
  }

  get port(): number {
    return this.http.port;
  }

  get url(): string {
    return `${this.http.url}/holdfast?token=of-the-address`;
  }

  types(): string[] {
    return this.received.map(({ json }) => json.type);
  }

  /** Resolves once `count` requests have arrived in all. */
  untilReceived(count: number): Promise<void> {
    return this.http.until(() => this.received.length >= count);
  }

  stop(): Promise<void> {
    return this.http.stop();
  }
}

/** As the documentation tells products to do it. */
export function isSignedBy(secret: string, { headers, body }: Received, now = Date.now()): boolean {
  const [, t = '', v1 = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['holdfast-signature'])) ?? [];
  const expected = createHmac('sha256', secret).update(`${t}.${body}`).digest('hex');
  return v1 === expected && Math.abs(now / 1000 - Number(t)) < 300;
}
