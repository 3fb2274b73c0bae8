import { MongoServerError } from 'mongodb';
import type { SwapStep } from '../port.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { clear, dropView } from './free-name.js';
import { parseOrdered, sameValue, toCommand } from './ordered-bson.js';
import { collationOf, sameView } from './swap-plan.js';
import type { SwapRun } from './swap-run.js';

type StepOf<K extends SwapStep['kind']> = Extract<SwapStep, { readonly kind: K }>;

// A cycle, a conflict of collations, views that are nested too deeply: all of them with views that are themselves about to change.
const conflictCodes = new Set<number | undefined>([5, 167, 2_078, 165]);
const namespaceNotFound = serverCode.namespaceNotFound;

/** Drops a view of the old database, and only that one: under its name there may already be what the plan puts in its place. */
export async function dropOldView(run: SwapRun, { name }: StepOf<'dropView'>): Promise<void> {
  const before = run.plan.old.find((namespace) => namespace.name === name);
  const found = await run.find(name);
  if (found?.type === 'view' && before !== undefined && sameView(found.options, parseOrdered(before.options))) await dropView(run, found);
  run.touched();
}

/** Makes or changes a view of the restored database. What the server refuses beside views that have not changed yet is left to `makeRefusedViews`. */
export async function makeView(run: SwapRun, step: StepOf<'view'>, index: number): Promise<void> {
  const reason = await refusalOf(run, step, index);
  if (reason !== null) run.refusedViews.push({ step, index, reason });
}

/** Makes or changes it. Returns what the server has against it; null when it is there. */
async function refusalOf(run: SwapRun, { name, options }: StepOf<'view'>, index: number): Promise<string | null> {
  const wanted = parseOrdered(options);
  for (;;) {
    const found = await run.find(name);
    try {
      if (found === null) {
        await run.command(`creating view "${name}"`, { create: name, ...toCommand(wanted) });
      } else if (found.type !== 'view') {
        await clear(run, name, index);
        continue;
      } else if (!sameView(found.options, wanted)) {
        if (!sameValue(collationOf(found.options), collationOf(wanted))) {
          await dropView(run, found);
          continue;
        }
        await run.command(`changing view "${name}"`, { collMod: name, viewOn: wanted.get('viewOn'), pipeline: wanted.get('pipeline') ?? [] });
      }
      run.touched();
      return null;
    } catch (error) {
      const code = serverCodeOf(error);
      if (code === serverCode.namespaceExists || code === namespaceNotFound || code === serverCode.commandNotSupportedOnView) continue;
      if (!conflictCodes.has(code) || !(error instanceof MongoServerError)) throwTargetError(error, `making view "${name}"`, run.work.signal);
      if (found === null) return error.message;
      await dropView(run, found);
    }
  }
}

/**
 * Makes those views that were refused, one after the other, for as long as that helps any of them. One that is refused to the end, as a product has changed another meanwhile, is left out: there
 * is no way back, and the users are shut out.
 */
export async function makeRefusedViews(run: SwapRun): Promise<void> {
  for (let left = run.refusedViews; left.length > 0; ) {
    const again: typeof left = [];
    for (const { step, index } of left) {
      const reason = await refusalOf(run, step, index);
      if (reason !== null) again.push({ step, index, reason });
    }
    if (again.length === left.length) {
      for (const { step, reason } of again) run.warnings.push(`The view "${step.name}" was left out, as the server refuses it: ${reason.slice(0, 300)}`);
      return;
    }
    left = again;
  }
}
