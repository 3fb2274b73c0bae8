import { backupCreate, type OperationAnswer } from '../support/backup-calls.ts';
import type { Hook, Plant, Tenant } from './plant.ts';
import type { Random } from './random.ts';
import { Writer } from './writer.ts';

/** What happens to an operation while it runs, and how it may end then. */
export interface Trouble {
  readonly description: string;
  /** Begun before the operation is. */
  prepare(): Promise<void> | void;
  /** The operation is known and may have begun. */
  started(operationId: string): void;
  /** Nothing of it is left when this resolves. */
  over(): Promise<void>;
  /** Why this is no possible end, or null. */
  readonly complaint: (operation: OperationAnswer) => string | null;
}

const backupPoints = ['backup.prelude', 'backup.dump', 'backup.finalize', 'backup.read-back'] as const;
const uncommittedPoints = ['restore.begun', 'restore.verified', ...backupPoints, 'restore.safe', 'restore.staging', 'restore.staged', 'restore.checked', 'restore.maintenance', 'restore.merge-safe', 'restore.planned'] as const;
const committedPoints = [
  'restore.committed', ...Array.from({ length: 8 }, (_, n) => `restore.swap.${n}`), 'restore.swapped', 'restore.swap-noted', 'restore.merge.0', 'restore.merge.2', 'restore.merged', 'restore.maintenance-off', 'restore.last-state',
  'restore.last-state-kept', 'restore.last-state-noted', 'restore.old-dropped', 'restore.cleaned',
] as const;

function isCommitted(point: string): boolean {
  return (committedPoints as readonly string[]).includes(point);
}

export function anyPoint(kind: 'backup' | 'restore', random: Random): string {
  return kind === 'backup' ? random.pick(backupPoints) : random.pick<string>(random.chance(0.5) ? uncommittedPoints : committedPoints);
}

const storeCodes = ['STORAGE_FULL', 'STORAGE_UNAVAILABLE', 'READ_BACK_FAILED', 'SAFETY_BACKUP_FAILED', 'ARCHIVE_TRUNCATED', 'ARCHIVE_CORRUPT'];
const onlyCompleted = (operation: OperationAnswer): string | null => (operation.state === 'COMPLETED' ? null : 'it should be COMPLETED');

export function noTrouble(): Trouble {
  return { description: '', prepare: () => undefined, started: () => undefined, over: () => Promise.resolve(), complaint: onlyCompleted };
}

export function anyTrouble(kind: 'backup' | 'restore', plant: Plant, tenant: Tenant, random: Random): Trouble {
  switch (random.weighted({ none: 10, writer: kind === 'restore' ? 4 : 0, cancel: 3, error: 3, storage: 3, second: 1.5 })) {
    case 'none':
      return noTrouble();
    case 'writer':
      return writing(plant, tenant, random);
    case 'cancel':
      return canceling(anyPoint(kind, random), kind, plant);
    case 'error':
      return failing(anyPoint(kind, random), plant);
    case 'storage':
      return storageTrouble(kind, plant, random);
    case 'second':
      return secondStart(anyPoint(kind, random), plant, tenant);
  }
}

/** The product writes up to the moment that maintenance begins, as it is told to. */
function writing(plant: Plant, { product }: Tenant, random: Random): Trouble {
  let writer: Writer | null = null;
  let hook: Hook | null = null;
  return {
    description: 'the product writes until maintenance',
    prepare: () => {
      writer = new Writer(product, random);
      hook = plant.at('restore.maintenance', () => writer?.stop() ?? Promise.resolve());
    },
    started: () => undefined,
    over: async () => {
      hook?.off();
      await writer?.stop();
    },
    complaint: onlyCompleted,
  };
}

/** Trouble at the first time that a point is reached; where it is not, everything goes well. */
function atPoint(point: string, plant: Plant, what: string, work: (operationId: string) => Promise<void>, complaint: Trouble['complaint']): Trouble {
  let hook: Hook | null = null;
  const id = Promise.withResolvers<string>();
  return {
    description: `${what} at ${point}`,
    prepare: () => void (hook = plant.at(point, async () => work(await id.promise))),
    started: (operationId) => id.resolve(operationId),
    over: () => Promise.resolve(hook?.off()),
    complaint: (operation) => (hook?.isReached() === true ? complaint(operation) : onlyCompleted(operation)),
  };
}

function canceling(point: string, kind: 'backup' | 'restore', plant: Plant): Trouble {
  const cancel = async (operationId: string): Promise<void> => {
    await plant.admin.run('mutation ($input: OperationCancelInput!) { operationCancel(input: $input) { userErrors { code } } }', { input: { operationId } });
  };
  return atPoint(point, plant, 'cancel', cancel, ({ state }) => {
    if (isCommitted(point)) return state === 'COMPLETED' ? null : 'a cancel after the commit point is refused: it should be COMPLETED';
    // A backup that is already read back may as well be kept.
    return state === 'CANCELED' || (kind === 'backup' && point === 'backup.read-back' && state === 'COMPLETED') ? null : 'it should be CANCELED';
  });
}

function failing(point: string, plant: Plant): Trouble {
  const fail = (): Promise<void> => Promise.reject(new Error('The soak lets it fail here'));
  return atPoint(point, plant, 'an error', fail, ({ state }) => (state === (isCommitted(point) ? 'COMPLETED' : 'FAILED') ? null : `it should be ${isCommitted(point) ? 'COMPLETED' : 'FAILED'}`));
}

function secondStart(point: string, plant: Plant, tenant: Tenant): Trouble {
  let refusal: string | null = null;
  const start = async (): Promise<void> => {
    const { operation, userErrors } = await backupCreate(plant.admin, tenant.id);
    if (operation !== null || userErrors[0]?.code !== 'OPERATION_ALREADY_RUNNING') refusal = `a second operation was not refused: ${JSON.stringify({ operation, userErrors })}`;
  };
  return atPoint(point, plant, 'a second start', start, (operation) => refusal ?? onlyCompleted(operation));
}

function storageTrouble(kind: 'backup' | 'restore', plant: Plant, random: Random): Trouble {
  const fault = random.weighted({ full: 3, short: 2, flip: 3, readOnce: 2, readAlways: 1 });
  const at = random.int(0, random.pick([200, 5_000, 50_000]));
  let hook: Hook | null = null;
  return {
    description: `a store that fails: ${fault} at ${at}`,
    prepare: () => {
      if (fault === 'full') plant.faults.fullAtByte = at;
      if (fault === 'short') plant.faults.loseLastBytes = 1 + (at % 200);
      if (fault === 'flip') plant.faults.flipBitAtByte = at;
      if (fault === 'readOnce') plant.faults.failingReads = 1;
      if (fault === 'readAlways') plant.faults.failingReads = Infinity;
      // After the commit point a store that fails is only waited for.
      hook = plant.at('restore.committed', () => Promise.resolve(plant.clearFaults()));
    },
    started: () => undefined,
    over: () => {
      hook?.off();
      plant.clearFaults();
      return Promise.resolve();
    },
    complaint: ({ state, failure }) => {
      if (state === 'COMPLETED') return fault === 'short' || fault === 'readAlways' ? `a ${kind} on such a store cannot be COMPLETED` : null;
      return state === 'FAILED' && storeCodes.includes(failure?.code ?? '') ? null : 'it should be FAILED of its store';
    },
  };
}

/** For an operation whose worker is killed at a point, or anywhere (null). */
export function killed(point: string | null): Trouble['complaint'] {
  return ({ state, failure }) => {
    if (state === 'COMPLETED') return null;
    if (point !== null && isCommitted(point)) return 'killed after the commit point it should be COMPLETED';
    return state === 'FAILED' && failure?.code === 'WORKER_LOST' ? null : 'it should be COMPLETED, or FAILED with WORKER_LOST';
  };
}

