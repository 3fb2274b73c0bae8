import { AppError } from '#errors';
import type { Actor } from '../platform/auth/actor.js';
import type { ResetEntity, ResetState } from './reset.entity.js';

const words: Readonly<Record<ResetState, string>> = {
  BEGUN: 'No code was verified yet: send one with resetSendCode',
  CODE_SENT: 'The code was not verified yet: type it with resetVerifyCode',
  VERIFIED: 'The reset is verified and waits for RESET to be typed',
  CONFIRMED: 'The reset is confirmed and waits for its start time',
  EXECUTING: 'The reset is under way',
  DONE: 'The workspace was reset already',
  FAILED: 'The operation of this reset has failed',
  CANCELED: 'The reset was given up',
  VOID: 'The reset is void, because a wrong code was typed too often',
  EXPIRED: 'The reset was not confirmed in time',
};

/** @throws AppError RESET_TOO_EARLY where a step is missing, RESET_OVER where it comes too late */
export function requireState({ state }: ResetEntity, allowed: readonly ResetState[]): void {
  if (allowed.includes(state)) return;
  throw new AppError(state === 'BEGUN' || state === 'CODE_SENT' ? 'RESET_TOO_EARLY' : 'RESET_OVER', words[state]);
}

/** @throws AppError RESET_OF_ANOTHER */
export function requireOwn(actor: Actor, { actorId }: ResetEntity): void {
  if (actor.id !== actorId) throw new AppError('RESET_OF_ANOTHER', 'This reset was begun by somebody else');
}
