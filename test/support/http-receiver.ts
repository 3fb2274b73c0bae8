import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Responder = (request: ReceivedRequest, response: ServerResponse) => void;

/** A real HTTP server that remembers what it was sent and answers as it is told. */
export class HttpReceiver {
  readonly received: ReceivedRequest[] = [];
  /** The status of the next answers, of each path. */
  readonly answers = new Map<string, number>();
  respond: Responder = ({ path }, response) => void response.writeHead(this.answers.get(path) ?? 200).end();
  private waiting: { readonly isMet: () => boolean; readonly resolve: () => void }[] = [];

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(): Promise<HttpReceiver> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const receiver = new HttpReceiver(server, (server.address() as AddressInfo).port);
    server.on('request', (request, response) => void receiver.take(request, response));
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  at(path: string): ReceivedRequest[] {
    return this.received.filter((request) => request.path === path);
  }

  /** Resolves once `count` requests have arrived at the path in all. */
  untilReceived(path: string, count: number): Promise<void> {
    return this.until(() => this.at(path).length >= count);
  }

  /** Asked again after each request. */
  async until(isMet: () => boolean): Promise<void> {
    if (!isMet()) await new Promise<void>((resolve) => this.waiting.push({ isMet, resolve }));
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const received = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
    this.received.push(received);
    this.respond(received, response);
    this.waiting = this.waiting.filter(({ isMet, resolve }) => {
      if (isMet()) resolve();
      return !isMet();
    });
  }
}
