import { describe, expect, it } from '@jest/globals';
import type { OperationProgress } from './operation.entity.js';
import { ProgressMeter } from './progress-meter.js';

const nothing: OperationProgress = { percent: null, bytesDone: 0, bytesTotal: null, itemsDone: 0, itemsTotal: null, current: null, etaMs: null };
const bytes = (bytesDone: number, bytesTotal: number | null) => ({ bytesDone, bytesTotal, itemsDone: 0, itemsTotal: null, current: null });
const phases = ['PREPARE', 'DUMP', 'READ_BACK'];
const weights = { DUMP: 8 };

describe('ProgressMeter', () => {
  it('makes one percent of all phases by their weights', () => {
    const meter = new ProgressMeter(phases, weights, nothing, 0);
    const percentAt = (phase: string, done: number) => {
      meter.enter(phase);
      meter.report(bytes(done, 100));
      return meter.snapshot(0).percent;
    };
    expect([percentAt('PREPARE', 50), percentAt('DUMP', 0), percentAt('DUMP', 50), percentAt('READ_BACK', 0), percentAt('READ_BACK', 50)]).toEqual([5, 10, 50, 90, 95]);
  });

  it('says null, not zero, while nothing is known', () => {
    const meter = new ProgressMeter(phases, weights, nothing, 0);
    expect(meter.snapshot(0).percent).toBeNull();
    meter.enter('PREPARE');
    meter.report(bytes(1000, null));
    expect(meter.snapshot(0)).toMatchObject({ percent: null, bytesDone: 1000, bytesTotal: null, etaMs: null });
  });

  it('never falls: not when a total grows, not after a take-over, not for a phase out of order', () => {
    const meter = new ProgressMeter(phases, weights, { ...nothing, percent: 42 }, 0);
    meter.enter('DUMP');
    meter.report(bytes(1, 100));
    expect(meter.snapshot(0).percent).toBe(42);
    meter.report(bytes(50, 100));
    meter.report(bytes(50, 1000));
    expect(meter.snapshot(0).percent).toBe(50);
    meter.enter('PREPARE');
    meter.enter('NOT_PLANNED');
    expect(meter.snapshot(0).percent).toBe(50);
  });

  it('leaves 100 to the completed operation, even where more is done than was planned', () => {
    const meter = new ProgressMeter(phases, weights, nothing, 0);
    meter.enter('READ_BACK');
    meter.report(bytes(300, 100));
    expect(meter.snapshot(0).percent).toBe(99.9);
  });

  it('counts items where bytes are not known', () => {
    const meter = new ProgressMeter(['WORK'], {}, nothing, 0);
    meter.enter('WORK');
    meter.report({ bytesDone: 5, bytesTotal: null, itemsDone: 1, itemsTotal: 4, current: 'orders' });
    expect(meter.snapshot(0)).toMatchObject({ percent: 25, current: 'orders' });
  });

  it('estimates the rest by the speed so far, and not from too little', () => {
    const meter = new ProgressMeter(['WORK'], {}, nothing, 1_000);
    meter.enter('WORK');
    meter.report(bytes(25, 100));
    expect(meter.snapshot(1_500).etaMs).toBeNull();
    expect(meter.snapshot(11_000).etaMs).toBe(30_000);
  });
});
