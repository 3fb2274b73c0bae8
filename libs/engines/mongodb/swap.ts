import type { LeasedWork, SwapPlan, SwapReport, SwapStep } from '../port.js';
import { catalogueChangesAtOnce } from './catalogue-changes.js';
import { missingOf } from './cleanup.js';
import type { MongodbContext } from './connection.js';
import { serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { listOwn, toUuid } from './find-namespaces.js';
import { inParallel } from './in-parallel.js';
import { timeToLiveCommand } from './staged-definitions.js';
import { promote, setAside } from './swap-collections.js';
import { SwapRun } from './swap-run.js';
import { dropTimeseries, replaceTimeseries } from './swap-timeseries.js';
import { dropOldView, makeRefusedViews, makeView } from './swap-views.js';

export type BeforeStep = (index: number, step: SwapStep) => Promise<void>;

const indexNotFound = 27;

/**
 * Carries out a plan, from wherever an earlier worker left it: what is done is read from the database, never remembered. Two workers at
 * once do the same steps; each finds done what the other did.
 */
export async function runSwap(context: MongodbContext, plan: SwapPlan, work: LeasedWork, beforeStep: BeforeStep = async () => undefined): Promise<SwapReport> {
  const run = new SwapRun(context, plan, work);
  const step = async (index: number): Promise<void> => {
    const now = plan.steps[index];
    if (now === undefined) return;
    await beforeStep(index, now);
    await perform(run, now, index);
    work.report({ bytesDone: 0, bytesTotal: null, itemsDone: index + 1, itemsTotal: plan.steps.length, current: now.name });
  };
  const lane = async (indexes: readonly number[]): Promise<void> => {
    for (const index of indexes) await step(index);
  };
  try {
    for (const group of groupsOf(plan.steps)) {
      // Alone at first: as long as nothing is done, SWAP may still be given up.
      const [first, ...others] = group;
      await lane(first ?? []);
      await inParallel(others, catalogueChangesAtOnce(others.length), lane);
    }
    await makeRefusedViews(run);
    await run.commands.majority('waiting for the replicas');
    const own = await run.persist('listing what was set aside and kept', () => listOwn(context, work.operationId, work.signal));
    return { ...outcomeOf(plan), interlopers: await run.interlopers(own), gone: missingOf(plan, own), warnings: run.warnings };
  } catch (error) {
    throwTargetError(error, 'putting the restored collections in place', work.signal);
  }
}

async function perform(run: SwapRun, step: SwapStep, index: number): Promise<void> {
  switch (step.kind) {
    case 'setAside':
      return setAside(run, step, index);
    case 'promote':
      return promote(run, step, index);
    case 'dropView':
      return dropOldView(run, step);
    case 'view':
      return makeView(run, step, index);
    case 'timeseries':
      return replaceTimeseries(run, step, index);
    case 'dropTimeseries':
      return dropTimeseries(run, step);
    case 'ttl':
      return expire(run, step);
  }
}

async function expire(run: SwapRun, { name, uuid, index, expireAfterSeconds }: Extract<SwapStep, { readonly kind: 'ttl' }>): Promise<void> {
  const guard = uuid === null ? {} : { collectionUUID: toUuid(uuid) };
  try {
    await run.command(`setting the TTL of "${name}"`, { ...timeToLiveCommand(name, index, expireAfterSeconds), ...guard });
  } catch (error) {
    const code = serverCodeOf(error);
    if (code !== serverCode.collectionUuidMismatch && code !== serverCode.namespaceNotFound && code !== indexNotFound) {
      throwTargetError(error, `setting the TTL of "${name}"`, run.work.signal);
    }
    run.warnings.push(`"${name}" was replaced or its index dropped right after the restore; its TTL was not set`);
  }
}

/** Lanes that may run side by side: neighbouring renames, those of one name in one lane. Everything else runs alone. */
function groupsOf(steps: readonly SwapStep[]): number[][][] {
  const groups: number[][][] = [];
  let lanes: Map<string, number[]> | null = null;
  steps.forEach((step, index) => {
    if (step.kind !== 'setAside' && step.kind !== 'promote') {
      lanes = null;
      groups.push([[index]]);
      return;
    }
    if (lanes === null) {
      lanes = new Map();
      groups.push([]);
    }
    const lane = lanes.get(step.name);
    if (lane !== undefined) {
      lane.push(index);
      return;
    }
    const begun = [index];
    lanes.set(step.name, begun);
    groups.at(-1)?.push(begun);
  });
  return groups;
}

function outcomeOf({ steps, old }: SwapPlan): Pick<SwapReport, 'replaced' | 'added' | 'dropped'> {
  const before = new Set(old.map(({ name }) => name));
  const made = new Set(steps.filter(({ kind }) => kind === 'promote' || kind === 'view' || kind === 'timeseries').map(({ name }) => name));
  const removed = steps.filter(({ kind, name }) => (kind === 'setAside' || kind === 'dropView' || kind === 'dropTimeseries') && !made.has(name));
  const names = [...made].sort();
  return {
    replaced: names.filter((name) => before.has(name)),
    added: names.filter((name) => !before.has(name)),
    dropped: removed.map(({ name }) => name).sort(),
  };
}
