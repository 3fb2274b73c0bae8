import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { DataSource, EntityManager } from 'typeorm';
import { ChannelListener } from './channel-listener.js';
import { matches, type Notice, type NoticeFilter, type NoticeTopic, parseNotice, printNotice } from './notice.js';
import { NoticeStream } from './notice-stream.js';

const channel = 'holdfast_events';

/**
 * Tells every process that a row changed, over PostgreSQL's LISTEN/NOTIFY. A notice is a hint to read the row again
 * and may be lost; after each (re)connection every subscriber gets `resync`, so a subscriber that reads on each event ends up with
 * the newest state.
 */
export class EventBus implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(EventBus.name);
  private readonly subscribers = new Map<NoticeTopic, Map<NoticeStream, NoticeFilter>>();
  private readonly listener: ChannelListener;

  constructor(
    databaseUrl: string,
    private readonly dataSource: DataSource,
  ) {
    this.listener = new ChannelListener(databaseUrl, channel, {
      onNotification: (payload) => this.dispatch(payload),
      onConnected: () => this.resyncAll(),
      onLost: (error) => this.logger.warn({ msg: 'Lost the connection that listens for events; connecting again', error: error.message }),
    });
  }

  async onModuleInit(): Promise<void> {
    await this.listener.start();
  }

  async onApplicationShutdown(): Promise<void> {
    for (const streams of this.subscribers.values()) for (const stream of [...streams.keys()]) await stream.return();
    await this.listener.stop();
  }

  get isListening(): boolean {
    return this.listener.isConnected;
  }

  /** For metrics and tests: a client that is gone must not be counted. */
  get subscriberCount(): number {
    let count = 0;
    for (const streams of this.subscribers.values()) for (const { readers } of streams.keys()) count += readers;
    return count;
  }

  /** With the manager of a transaction the notice leaves with the commit and not at all with a roll-back. */
  async publish(notice: Notice, manager: EntityManager = this.dataSource.manager): Promise<void> {
    await manager.query('select pg_notify($1, $2)', [channel, printNotice(notice)]);
  }

  /** Subscribe before the first read of the row; whatever changes after that read is then in the stream. Ended by `return()`. */
  subscribe(topic: NoticeTopic, filter: NoticeFilter = {}): NoticeStream {
    const streams = this.subscribers.get(topic) ?? new Map<NoticeStream, NoticeFilter>();
    this.subscribers.set(topic, streams);
    const stream = new NoticeStream((ended) => streams.delete(ended));
    streams.set(stream, filter);
    return stream;
  }

  private dispatch(payload: string): void {
    const notice = parseNotice(payload);
    if (notice === null) return;
    for (const [stream, filter] of this.subscribers.get(notice.topic) ?? []) if (matches(filter, notice)) stream.push(notice);
  }

  private resyncAll(): void {
    for (const streams of this.subscribers.values()) for (const stream of streams.keys()) stream.resync();
  }
}
