import { setTimeout as delay } from 'node:timers/promises';
import type { Change } from './change.ts';
import { type Plant, type Tenant, uuidOf } from './plant.ts';
import type { Random } from './random.ts';
import { beginBackup, concludeBackup, concludeChange } from './run-operation.ts';
import { anyPoint, killed } from './trouble.ts';

const afterSweepMs = 500;

interface Begun {
  readonly tenant: Tenant;
  readonly change: Change | null;
  readonly id: string;
}

/** Operations of one or two workspaces in a process that dies with -9, at a point of the first one or anywhere. */
export async function killDuring(plant: Plant, tenant: Tenant, change: Change | null, other: Tenant | null, random: Random): Promise<string> {
  const begun: Begun[] = [];
  const point = random.chance(0.8) ? anyPoint(change === null ? 'backup' : 'restore', random) : null;
  const aliveMs = random.int(0, 1_500);
  let pid = 0;
  await plant.withoutWorker(async () => {
    begun.push({ tenant, change, id: await (change === null ? beginBackup(plant, tenant, 'GZIP') : change.begin()) });
    if (other !== null) begun.push({ tenant: other, change: null, id: await beginBackup(plant, other, 'ZSTD') });
    const [first] = begun;
    const worker = plant.killable(point === null || first === undefined ? [] : [`${point}@${uuidOf(first.id)}=kill`]);
    pid = worker.pid;
    // Where the point is not reached it dies of old age.
    const isOver = (): Promise<boolean> => plant.isOver(begun.map(({ id }) => id));
    const end = worker.exited();
    if (point === null) await plant.isBegun(begun.map(({ id }) => id));
    const dies = point === null ? delay(aliveMs) : untilTrue(isOver);
    await Promise.race([end, dies]);
    await worker.kill();
    // One that ended in another way would blame Holdfast for what the machine did, as a port that another program took.
    const signal = await end;
    if (signal !== 'SIGKILL') throw new Error(`The worker ended with ${signal} and was not killed`);
  });
  await plant.buried(pid);
  const operations = await Promise.all(begun.map(({ id }) => plant.finish(id)));
  const answers = begun.map(({ tenant: owner, change: done }, index) => {
    const operation = operations[index];
    if (operation === undefined) throw new Error('An operation has no end');
    const complaint = killed(index === 0 ? point : null);
    return `${owner.slug} ${done === null ? concludeBackup(plant, owner, operation, complaint, 'backup') : concludeChange(plant, owner, done, operation, complaint, done.description)}`;
  });
  return `kill -9 ${point === null ? `after ${aliveMs} ms` : `at ${point}`}: ${answers.join('; ')}`;
}

async function untilTrue(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await delay(afterSweepMs);
}
