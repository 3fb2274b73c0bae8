import type { FinalState, OperationStep } from './operation.entity.js';

export function stepsOf(phases: readonly string[]): OperationStep[] {
  return phases.map((phase) => ({ phase, state: 'QUEUED', startedAt: null, finishedAt: null }));
}

/** Ends the running step and begins that of `phase`, which is added where the plan of the work did not have it. */
export function enterStep(steps: readonly OperationStep[], phase: string, at: string): OperationStep[] {
  const ended = steps.map((step) => (step.state === 'RUNNING' && step.phase !== phase ? { ...step, state: 'COMPLETED' as const, finishedAt: at } : step));
  const begun = (step: OperationStep): OperationStep => ({ ...step, state: 'RUNNING', startedAt: step.startedAt ?? at, finishedAt: null });
  return ended.some((step) => step.phase === phase)
    ? ended.map((step) => (step.phase === phase ? begun(step) : step))
    : [...ended, begun({ phase, state: 'QUEUED', startedAt: null, finishedAt: null })];
}

/** The running step ends as the operation did. What never began stays QUEUED, but for a completed operation, which has no work left. */
export function endSteps(steps: readonly OperationStep[], state: FinalState, at: string): OperationStep[] {
  return steps.map((step) => {
    if (step.state === 'RUNNING') return { ...step, state, finishedAt: at };
    return state === 'COMPLETED' && step.state === 'QUEUED' ? { ...step, state: 'COMPLETED' } : step;
  });
}
