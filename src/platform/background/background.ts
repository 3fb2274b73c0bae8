import { setTimeout as delay } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Injectable, Logger } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { redact } from '#errors';

type Work = () => Promise<unknown> | void;

/** Long enough for what only asks the database; what waits for a server that is away is begun again by the next process. */
const patienceMs = 5_000;

/**
 * What a process does without being asked. It begins when the process listens on its port: one whose port was taken by another program has then claimed
 * nothing that it would leave behind, and a start waits for none of it.
 */
@Injectable()
export class Background implements BeforeApplicationShutdown {
  private readonly logger = new Logger(Background.name);
  private readonly underWay = new Set<Promise<void>>();
  private stopped = false;

  constructor(
    private readonly host: HttpAdapterHost,
    private readonly registry: SchedulerRegistry,
  ) {}

  /** Once, as soon as the process listens. A shutdown waits a moment for what is still under way. */
  begin(work: Work): void {
    const start = (): void => {
      if (!this.stopped) void this.follow(work);
    };
    if (this.host.listening) start();
    else this.host.listen$.subscribe(start);
  }

  /** Each time that so long has passed since the process began to listen, but for the times at which the last one still runs; `name` is its own in the process. */
  every(name: string, everyMs: number, work: Work): void {
    this.begin(() => {
      let running: Promise<void> | null = null;
      const timer = setInterval(() => void (running ??= this.follow(work).finally(() => (running = null))), everyMs);
      this.registry.addInterval(name, timer.unref());
    });
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.stopped = true;
    const late = new AbortController();
    await Promise.race([Promise.all(this.underWay), delay(patienceMs, undefined, { signal: late.signal }).catch(() => undefined)]);
    late.abort();
  }

  private follow(work: Work): Promise<void> {
    const done = (async () => void (await work()))()
      .catch((error: unknown) => this.logger.error({ msg: 'Work in the background failed', error: redact(String(error)) }))
      .finally(() => this.underWay.delete(done));
    this.underWay.add(done);
    return done;
  }
}
