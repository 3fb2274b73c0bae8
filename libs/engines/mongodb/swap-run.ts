import type { Document } from 'mongodb';
import { AppError } from '#errors';
import type { LeasedWork, SwapPlan, SwapStep } from '../port.js';
import type { MongodbContext } from './connection.js';
import { isLost, serverCode, serverCodeOf, throwTargetError } from './errors.js';
import { findByUuid, findNamespace, toUuid, type FoundNamespace } from './find-namespaces.js';
import { LeasedCommands, TryAgain } from './leased-commands.js';
import { lateName } from './names.js';

const lockTimeout = 24;
const lockBusy = 46;
const blockingCodes = new Set<number | undefined>([serverCode.maxTimeExpired, serverCode.backgroundOperationInProgress, serverCode.writeConflict, lockTimeout, lockBusy]);
// A rename waits in the lock queue and holds up everything behind it, so it gives way early and comes again.
const attemptMs = 3_000;
/** How long the first step may be held up before live data are given back as they are. */
const firstStepMs = 15_000;

export interface Interloper {
  readonly name: string;
  readonly kept: string;
  readonly documents: number;
}

/** What the steps of one SWAP share. */
export class SwapRun {
  readonly commands: LeasedCommands;
  readonly warnings: string[] = [];
  /** Steps whose view the server refused, to be tried again at the end. */
  readonly refusedViews: { readonly step: Extract<SwapStep, { readonly kind: 'view' }>; readonly index: number; readonly reason: string }[] = [];
  private readonly began = Date.now();
  private isTouched = false;

  constructor(
    readonly context: MongodbContext,
    readonly plan: SwapPlan,
    readonly work: LeasedWork,
  ) {
    this.commands = new LeasedCommands(context, work);
  }

  /** From now on there is no way back: what blocks is waited for. */
  touched(): void {
    this.isTouched = true;
  }

  /**
   * Runs `attempt` until it is neither blocked nor cut off. Throws SWAP_BLOCKED if nothing of the plan was done yet and too
   * much time has passed, LEASE_LOST when the lease ends; server errors of other kinds pass unchanged.
   */
  async persist<T>(doing: string, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        this.work.signal.throwIfAborted();
        const isBlocked = blockingCodes.has(serverCodeOf(error));
        if (!isBlocked && !isLost(error) && !(error instanceof TryAgain)) throw error;
        if (isBlocked && !this.isTouched && Date.now() - this.began > firstStepMs) {
          throw new AppError('SWAP_BLOCKED', `An open transaction or an index build blocks ${doing}`, { cause: error });
        }
        if (tries % 10 === 0) this.work.log(`${isBlocked ? 'Blocked' : 'Cut off'} while ${doing}; trying again`);
        await this.commands.pause(tries, doing, error);
      }
    }
  }

  async command(doing: string, command: Document): Promise<Document> {
    return this.persist(doing, () => this.commands.once(command, { longestMs: attemptMs }));
  }

  find(name: string): Promise<FoundNamespace | null> {
    return this.persist(`looking for "${name}"`, () => findNamespace(this.context, name, this.work.signal));
  }

  findByUuid(uuid: string): Promise<FoundNamespace | null> {
    return this.persist('looking for a collection', () => findByUuid(this.context, uuid, this.work.signal));
  }

  /**
   * Renames the collection with this UUID from `from` to `to`, never over another. A repeated rename finds its own work
   * done; 'occupied': `to` belongs to another collection; anything else is where the collection was found, null for nowhere.
   */
  async rename(uuid: string, from: string, to: string): Promise<'done' | 'occupied' | { readonly at: string | null }> {
    const { databaseName } = this.context.db;
    const command = { renameCollection: `${databaseName}.${from}`, to: `${databaseName}.${to}`, collectionUUID: toUuid(uuid) };
    try {
      await this.persist(`renaming "${from}"`, () => this.commands.once(command, { database: 'admin', longestMs: attemptMs }));
      return 'done';
    } catch (error) {
      const code = serverCodeOf(error);
      if (code === serverCode.namespaceExists) return (await this.findByUuid(uuid))?.name === to ? 'done' : 'occupied';
      if (code !== serverCode.collectionUuidMismatch && code !== serverCode.namespaceNotFound) throwTargetError(error, `renaming "${from}"`, this.work.signal);
      const at = actualNameOf(error) ?? (await this.findByUuid(uuid))?.name ?? null;
      return at === to ? 'done' : { at };
    }
  }

  /** Moves whatever a product has put under `name` during SWAP out of the way; `index` is the step's, so that its name can be told later. */
  async keepAside({ name, uuid }: { readonly name: string; readonly uuid: string }, index: number): Promise<void> {
    for (let round = 0; ; round += 1) {
      const kept = this.lateName(index, round);
      const outcome = await this.rename(uuid, name, kept);
      if (outcome === 'occupied') continue;
      // Moved by another worker, or gone again.
      if (outcome === 'done') this.work.log(`"${name}" was written during the restore; what came is kept as "${kept}"`);
      return;
    }
  }

  lateName(index: number, round: number): string {
    return lateName(this.work.operationId, index + round * this.plan.steps.length);
  }

  /** Everything kept aside during SWAP, by this worker or one before it, among the operation's `own` collections. */
  async interlopers(own: readonly FoundNamespace[]): Promise<Interloper[]> {
    const prefix = lateName(this.work.operationId, 0).slice(0, -1);
    const found: Interloper[] = [];
    for (const { name } of own) {
      if (!name.startsWith(prefix)) continue;
      const step = this.plan.steps[Number(name.slice(prefix.length)) % Math.max(1, this.plan.steps.length)];
      const documents = await this.persist(`counting "${name}"`, () => this.context.db.collection(name).estimatedDocumentCount());
      found.push({ name: step?.name ?? name, kept: name, documents });
    }
    return found;
  }
}

/** CollectionUUIDMismatch says where the UUID lives now. */
function actualNameOf(error: unknown): string | undefined {
  const reply = (error as { readonly errorResponse?: Document }).errorResponse;
  const actual: unknown = reply?.['actualCollection'];
  return typeof actual === 'string' && actual !== '' ? actual : undefined;
}
