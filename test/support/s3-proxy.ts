import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { s3Bucket, type S3Server } from './s3-server.ts';

/** Stands before an S3 server, and lets it keep less than it was sent. */
export class ShorteningProxy {
  /** So many bytes at the end of each multipart upload are lost once it is complete. */
  lostBytes = 0;
  /** Awaited before a request is passed on. */
  onAsked: (method: string, url: string) => Promise<void> | void = () => undefined;
  /** Whether the server goes on telling the length that was sent. */
  hidesLoss = false;
  readonly shortened: string[] = [];
  private readonly sentBytes = new Map<string, number>();

  private constructor(
    private readonly upstream: S3Server,
    private readonly server: Server,
  ) {}

  static async start(upstream: S3Server): Promise<ShorteningProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new ShorteningProxy(upstream, server);
    server.on('request', (asked, answer) => void proxy.pass(asked, answer).catch(() => answer.destroy()));
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = asked;
    await this.onAsked(method, url);
    const { expect: _answered, ...headers } = asked.headers;
    const forward = request({ host: '127.0.0.1', port: this.upstream.port, method, path: url, headers });
    const answered = new Promise<IncomingMessage>((resolve, reject) => forward.on('response', resolve).on('error', reject));
    const [, got] = await Promise.all([pipeline(asked, forward), answered]);
    const { pathname, searchParams } = new URL(url, this.endpoint);
    const key = decodeURIComponent(pathname).slice(`/${s3Bucket}/`.length);
    if (method === 'POST' && searchParams.has('uploadId') && got.statusCode === 200 && this.lostBytes > 0) await this.shorten(key);
    const sent = this.sentBytes.get(key);
    const told = method === 'HEAD' && this.hidesLoss && sent !== undefined ? { ...got.headers, 'content-length': String(sent) } : got.headers;
    answer.writeHead(got.statusCode ?? 502, told);
    await pipeline(got, answer);
  }

  private async shorten(key: string): Promise<void> {
    const client = this.upstream.client();
    const { Body } = await client.send(new GetObjectCommand({ Bucket: s3Bucket, Key: key }));
    const whole = Buffer.from((await Body?.transformToByteArray()) ?? []);
    await client.send(new PutObjectCommand({ Bucket: s3Bucket, Key: key, Body: whole.subarray(0, whole.length - this.lostBytes) }));
    client.destroy();
    this.sentBytes.set(key, whole.length);
    this.shortened.push(key);
  }
}
