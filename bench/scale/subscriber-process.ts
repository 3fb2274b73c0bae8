import { performance } from 'node:perf_hooks';
import WebSocket from 'ws';
import type { Receipt, SubscriberOrder, SubscriberReply } from './subscriber-sockets.ts';

/** The sockets of all subscribers, in a process of its own, which does as little as can be: it stands for a thousand browsers elsewhere. */
const sockets: Subscriber[] = [];
/** Not all at once: the listening queue is short. */
const openedAtOnce = 50;

class Subscriber {
  private readonly socket: WebSocket;
  private seen: Receipt[] = [];
  private ended: ((seen: readonly Receipt[]) => void) | null = null;
  private readonly acknowledged = Promise.withResolvers<void>();

  constructor(url: string, authorization: string) {
    this.socket = new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    this.socket.on('open', () => this.send({ type: 'connection_init', payload: { authorization } }));
    this.socket.on('error', this.acknowledged.reject);
    this.socket.on('close', (code) => {
      if (this.ended !== null) throw new Error(`A subscriber's socket was closed: ${code}`);
    });
    this.socket.on('message', (data: Buffer) => this.receive(data.toString('utf8')));
  }

  opened(): Promise<void> {
    return this.acknowledged.promise;
  }

  watch(query: string, id: string): Promise<readonly Receipt[]> {
    const { promise, resolve } = Promise.withResolvers<readonly Receipt[]>();
    this.seen = [];
    this.ended = resolve;
    this.send({ id: '1', type: 'subscribe', payload: { query, variables: { id } } });
    return promise;
  }

  private receive(message: string): void {
    const atMs = performance.timeOrigin + performance.now();
    if (message.includes('"type":"next"')) {
      const [, revision] = /"revision":(\d+)/.exec(message) ?? [];
      if (revision === undefined) throw new Error(`A subscriber got no state: ${message}`);
      this.seen.push([Number(revision), atMs, !/"state":"(?:QUEUED|RUNNING)"/.test(message)]);
    } else if (message.includes('"type":"connection_ack"')) this.acknowledged.resolve();
    else if (message.includes('"type":"complete"')) {
      this.ended?.(this.seen);
      this.ended = null;
    } else throw new Error(`A subscriber got ${message}`);
  }

  private send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }
}

const reply = (message: SubscriberReply): void => void process.send?.(message);
const processorMs = (): number => process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000;

async function obey(order: SubscriberOrder): Promise<void> {
  if (order.kind === 'open') {
    while (sockets.length < order.subscribers) {
      const opening = Array.from({ length: Math.min(openedAtOnce, order.subscribers - sockets.length) }, () => new Subscriber(order.url, order.authorization));
      sockets.push(...opening);
      await Promise.all(opening.map((one) => one.opened()));
    }
    reply({ kind: 'opened' });
    return;
  }
  const beforeMs = processorMs();
  const receipts = await Promise.all(sockets.map((socket) => socket.watch(order.query, order.operationId)));
  reply({ kind: 'ended', receipts, processorMs: processorMs() - beforeMs });
}

process.on('message', (order) => void obey(order as SubscriberOrder));
