import { describe, expect, it } from '@jest/globals';
import { endSteps, enterStep, stepsOf } from './operation-steps.js';

const at = (second: number) => new Date(second * 1000).toISOString();
const summary = (steps: readonly { phase: string; state: string }[]) => steps.map(({ phase, state }) => `${phase} ${state}`);

describe('steps', () => {
  it('end one by one as the next begins', () => {
    const first = enterStep(stepsOf(['A', 'B', 'C']), 'A', at(1));
    const second = enterStep(first, 'B', at(2));
    expect(second).toEqual([
      { phase: 'A', state: 'COMPLETED', startedAt: at(1), finishedAt: at(2) },
      { phase: 'B', state: 'RUNNING', startedAt: at(2), finishedAt: null },
      { phase: 'C', state: 'QUEUED', startedAt: null, finishedAt: null },
    ]);
  });

  it('are added when the work turns out to need one more', () => {
    expect(summary(enterStep(stepsOf(['A']), 'CLEANUP', at(1)))).toEqual(['A QUEUED', 'CLEANUP RUNNING']);
  });

  it('keep their beginning when recovery enters them again', () => {
    const running = enterStep(stepsOf(['A']), 'A', at(1));
    expect(enterStep(running, 'A', at(9))).toEqual([{ phase: 'A', state: 'RUNNING', startedAt: at(1), finishedAt: null }]);
  });

  it('end as the operation does, and what never began stays queued unless all is completed', () => {
    const running = enterStep(stepsOf(['A', 'B']), 'A', at(1));
    expect(summary(endSteps(running, 'FAILED', at(2)))).toEqual(['A FAILED', 'B QUEUED']);
    expect(summary(endSteps(running, 'COMPLETED', at(2)))).toEqual(['A COMPLETED', 'B COMPLETED']);
  });
});
