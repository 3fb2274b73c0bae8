import { AppError } from '#errors';
import type { SwapStep } from '../port.js';
import { clear } from './free-name.js';
import type { SwapRun } from './swap-run.js';

type StepOf<K extends SwapStep['kind']> = Extract<SwapStep, { readonly kind: K }>;

/** The live collection becomes the set-aside one. */
export async function setAside(run: SwapRun, { name, old, uuid }: StepOf<'setAside'>, index: number): Promise<void> {
  for (let from = name; ; ) {
    const outcome = await run.rename(uuid, from, old);
    if (outcome === 'done') break;
    if (outcome === 'occupied') {
      const occupant = await run.find(old);
      if (occupant?.uuid) await run.keepAside({ name: old, uuid: occupant.uuid }, index);
    } else if (outcome.at === null) {
      run.warnings.push(`"${name}" was dropped during the restore, before it could be set aside`);
      break;
    } else {
      from = outcome.at;
    }
  }
  run.touched();
}

/** The staged collection becomes the live one; whatever a product has created there meanwhile is kept under another name. */
export async function promote(run: SwapRun, { name, staged, uuid }: StepOf<'promote'>, index: number): Promise<void> {
  for (;;) {
    const outcome = await run.rename(uuid, staged, name);
    if (outcome === 'done') break;
    if (outcome === 'occupied') {
      await clear(run, name, index, uuid);
    } else if (outcome.at === null) {
      throw new AppError('STAGE_MISMATCH', `The staged copy of collection "${name}" has disappeared`);
    } else {
      // Promoted long ago, and renamed since by whoever it belongs to.
      break;
    }
  }
  run.touched();
}
