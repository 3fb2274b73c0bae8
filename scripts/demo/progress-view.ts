import { SingleBar } from 'cli-progress';

import type { OperationSnapshot } from './story-api.ts';

/** Draws an operation as one bar: percent, phase, and what it is working on. */
export class ProgressView {
  private readonly bar: SingleBar;

  constructor(title: string) {
    this.bar = new SingleBar({
      format: `  ${title.padEnd(8)} [{bar}] {percent} %  {phase} {current}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: 32,
      hideCursor: true,
      clearOnComplete: false,
      noTTYOutput: true,
      notTTYSchedule: 1_000,
      formatValue: (value, _options, type) => (type === 'percentage' ? String(value).padStart(3) : String(value)),
    });
    this.bar.start(100, 0, { percent: '  0', phase: 'QUEUED', current: '' });
  }

  show(operation: OperationSnapshot): void {
    const percent = Math.floor(operation.progress.percent ?? 0);
    this.bar.update(percent, {
      percent: String(percent).padStart(3),
      phase: (operation.state === 'RUNNING' ? operation.phase : operation.state).padEnd(15),
      current: operation.state === 'RUNNING' ? (operation.progress.current ?? '') : '',
    });
  }

  stop(): void {
    this.bar.stop();
  }
}
