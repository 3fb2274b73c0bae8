import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Revision, when it came (milliseconds since 1970), whether it is the end. */
export type Receipt = readonly [revision: number, atMs: number, isLast: boolean];

export type SubscriberOrder =
  | { readonly kind: 'open'; readonly url: string; readonly authorization: string; readonly subscribers: number }
  | { readonly kind: 'watch'; readonly query: string; readonly operationId: string };

export interface Watched {
  /** Of each subscriber. */
  readonly receipts: readonly (readonly Receipt[])[];
  readonly processorMs: number;
}

export type SubscriberReply = { readonly kind: 'opened' } | ({ readonly kind: 'ended' } & Watched);

/** Subscribers with a socket each, all in one process that is not the bench's own. */
export class SubscriberSockets {
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  static async open(url: string, authorization: string, subscribers: number): Promise<SubscriberSockets> {
    const child = fork(fileURLToPath(new URL('subscriber-process.ts', import.meta.url)), { execArgv: ['--disable-warning=ExperimentalWarning'] });
    const sockets = new SubscriberSockets(child);
    await sockets.ask({ kind: 'open', url: `${url.replace(/^http/, 'ws')}/graphql`, authorization, subscribers });
    return sockets;
  }

  async watch(query: string, operationId: string): Promise<Watched> {
    const reply = await this.ask({ kind: 'watch', query, operationId });
    if (reply.kind !== 'ended') throw new Error('The subscribers did not say what they saw');
    return reply;
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }

  private async ask(order: SubscriberOrder): Promise<SubscriberReply> {
    const { promise, resolve, reject } = Promise.withResolvers<SubscriberReply>();
    const gone = (code: number | null): void => reject(new Error(`The process of the subscribers ended with ${code}`));
    this.child.once('message', (reply) => resolve(reply as SubscriberReply));
    this.child.once('exit', gone);
    this.child.send(order);
    try {
      return await promise;
    } finally {
      this.child.off('exit', gone);
    }
  }
}
