import { release, Semaphore } from '#archive';
import type { FrameSink } from '../port.js';

/** Whole blocks up to this size make a frame; a larger document gets a frame of its own. */
export const frameBytes = 1024 * 1024;

/**
 * Lends the buffers that frames are built in and hands full ones to the sink: at most `slots` frames exist at once, so
 * that a slow store holds the readers back and memory stays bounded.
 */
export class FramePool {
  private readonly free: Buffer[] = [];
  private readonly writing = new Set<Promise<void>>();
  private readonly slots: Semaphore;

  constructor(
    private readonly sink: FrameSink,
    slots: number,
  ) {
    this.slots = new Semaphore(slots);
  }

  /** A buffer of at least `bytes`; waits while all are lent. Rejects once a frame could not be written or `fail` was called. */
  async lend(bytes: number): Promise<Buffer> {
    await this.slots.acquire();
    return bytes > frameBytes ? Buffer.allocUnsafeSlow(bytes) : (this.free.pop() ?? Buffer.allocUnsafeSlow(frameBytes));
  }

  /** Gives `frame[0, length)` to the sink; the buffer returns to the pool when the sink is done with it. */
  write(namespaceIndex: number, frame: Buffer, length: number): void {
    const written = this.sink.writeFrame(namespaceIndex, frame.subarray(0, length)).then(
      () => this.takeBack(frame),
      (reason: unknown) => this.fail(reason),
    );
    this.writing.add(written);
    void written.then(() => this.writing.delete(written));
  }

  /** Ends every wait with `reason`; the first one counts. */
  fail(reason: unknown): void {
    this.slots.close(reason);
  }

  /** Resolves when the sink is done with every frame, whose memory is then given back; rejects with what failed. */
  async drain(): Promise<void> {
    this.slots.requireOpen();
    while (this.writing.size > 0) {
      await Promise.race(this.writing);
      this.slots.requireOpen();
    }
    this.free.splice(0).forEach(release);
  }

  private takeBack(frame: Buffer): void {
    if (frame.length === frameBytes) this.free.push(frame);
    this.slots.release();
  }
}
