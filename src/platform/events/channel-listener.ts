import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

const firstRetryMs = 100;
const longestRetryMs = 3_000;
const heartbeatMs = 10_000;
const heartbeatTimeoutMs = 5_000;

export interface ListenerEars {
  onNotification(payload: string): void;
  /** After each successful LISTEN, the first one included: what was sent before it is lost. */
  onConnected(): void;
  onLost(error: Error): void;
}

/** One connection that LISTENs on one channel for as long as the process lives, whatever becomes of the server. */
export class ChannelListener {
  private readonly stopped = new AbortController();
  private client: pg.Client | null = null;
  private running: Promise<void> | null = null;

  constructor(
    private readonly databaseUrl: string,
    private readonly channel: string,
    private readonly ears: ListenerEars,
  ) {}

  get isConnected(): boolean {
    return this.client !== null;
  }

  /** Resolves after the first attempt to connect, successful or not. */
  async start(): Promise<void> {
    if (this.running !== null) return;
    const firstAttempt = Promise.withResolvers<void>();
    this.running = this.run(() => firstAttempt.resolve());
    await firstAttempt.promise;
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    await this.running;
  }

  private async run(attempted: () => void): Promise<void> {
    let retryMs = firstRetryMs;
    while (!this.stopped.signal.aborted) {
      try {
        await this.listenUntilLost(() => {
          retryMs = firstRetryMs;
          attempted();
        });
      } catch (error) {
        this.ears.onLost(error instanceof Error ? error : new Error(String(error)));
      }
      attempted();
      await delay(retryMs * (0.5 + Math.random() / 2), undefined, { signal: this.stopped.signal }).catch(() => undefined);
      retryMs = Math.min(retryMs * 2, longestRetryMs);
    }
  }

  private async listenUntilLost(connected: () => void): Promise<void> {
    const client = new pg.Client({
      connectionString: this.databaseUrl,
      application_name: 'holdfast-events',
      connectionTimeoutMillis: 5_000,
      query_timeout: heartbeatTimeoutMs,
      keepAlive: true,
    });
    const lost = Promise.withResolvers<void>();
    const stop = () => lost.resolve();
    client.on('error', lost.reject);
    client.on('end', () => lost.reject(new Error('The connection was closed')));
    client.on('notification', ({ payload }) => this.ears.onNotification(payload ?? ''));
    this.stopped.signal.addEventListener('abort', stop);
    let heartbeat: NodeJS.Timeout | undefined;
    // Settled before anybody waits for it if the connection breaks during LISTEN.
    lost.promise.catch(() => undefined);
    try {
      await Promise.race([client.connect(), lost.promise]);
      if (this.stopped.signal.aborted) return;
      await client.query(`listen ${pg.escapeIdentifier(this.channel)}`);
      this.client = client;
      connected();
      this.ears.onConnected();
      // A dead peer sends no FIN: without this a half-open connection would look alive for ever.
      heartbeat = setInterval(() => void client.query('select 1').catch(lost.reject), heartbeatMs).unref();
      if (!this.stopped.signal.aborted) await lost.promise;
    } finally {
      clearInterval(heartbeat);
      this.client = null;
      this.stopped.signal.removeEventListener('abort', stop);
      await Promise.race([client.end().catch(() => undefined), delay(1_000, undefined, { ref: false })]);
    }
  }
}
