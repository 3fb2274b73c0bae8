import type { ErrorCode } from '#errors';
import type { WorkProgress } from '#engines';
import type { EntityManager } from 'typeorm';
import type { z } from 'zod';
import type { Permission } from '../access/permission.js';

export const operationKinds = [
  'BACKUP', 'RESTORE', 'UNDO', 'RESET', 'VERIFY', 'DRILL', 'COMPARE', 'REENCRYPT', 'COPY', 'DELETE', 'RECONCILE', 'RELEASE', 'IMPORT',
] as const;
export type OperationKind = (typeof operationKinds)[number];

export const operationStates = ['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELED'] as const;
export type OperationState = (typeof operationStates)[number];

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type JsonObject = { readonly [key: string]: Json | undefined };

export interface OperationFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
}

/**
 * One kind of long work. The runtime calls `run` once, under a lease with a fencing token; if the worker dies, any
 * worker takes the dead lease over (with the next token) and calls `recover`.
 */
export interface OperationHandler<Input extends JsonObject = JsonObject> {
  readonly kind: OperationKind;
  /** One exclusive operation a tenant at a time. */
  readonly exclusive: boolean;
  /** What the start needs, and therefore the cancel. */
  readonly permission: Permission;
  /** Hard limit from creation to the end, in milliseconds; not applied once the operation is committed. */
  readonly deadlineMs: number;
  /** The phases in their order, without QUEUED; the runtime makes `steps` of them. */
  phases(input: Input): readonly string[];
  /** How much of the whole time a phase takes, for the overall percent; 1 where a phase is not named. */
  readonly weights?: Readonly<Record<string, number>>;
  readonly input: z.ZodType<Input>;
  /**
   * Whether `run` may be called once more, from the start and with an empty journal, after it cleaned up and threw because its process is shut down. Where
   * it is not said, the operation then ends FAILED with WORKER_STOPPED.
   */
  readonly restartable?: boolean;
  /**
   * Returns the operation's result. Throwing ends it FAILED, or CANCELED when the cancel caused it: it cleans up after itself
   * before it throws, except after LEASE_LOST, when it touches nothing more because somebody else may be cleaning up. What it
   * throws once committed ends nothing: `recover` is called, again and again, until it has finished forward.
   */
  run(context: OperationContext<Input>): Promise<JsonObject>;
  /**
   * The previous worker is gone (or a zombie). If the operation is committed: finish it forward and return the result.
   * If not: remove every trace of it and throw what the operation failed of (usually WORKER_LOST). Idempotent. A throw of
   * something passing (TARGET_UNREACHABLE, TARGET_LOST, STORAGE_UNAVAILABLE, STORE_CHANGED, UNAVAILABLE, SECRET_UNREADABLE) means that traces are left: it is called again,
   * a few times with growing pauses, before the operation ends with that failure. Cancel and deadline do not abort it.
   */
  recover(context: OperationContext<Input>): Promise<JsonObject>;
  /**
   * Called inside the transaction that makes the row final, so that rows of the feature agree with it in every read (a backup of a
   * FAILED operation is FAILED). Also for operations that ended before they ever ran. Touches nothing but the control plane,
   * through `manager`, and is idempotent: if it throws, the row is final all the same and the call is repeated until it succeeds.
   */
  settled?(operation: SettledOperation<Input>, manager: EntityManager): Promise<void>;
}

export interface SettledOperation<Input extends JsonObject> {
  readonly id: string;
  readonly tenantId: string;
  readonly input: Input;
  readonly state: 'COMPLETED' | 'FAILED' | 'CANCELED';
  readonly failure: OperationFailure | null;
  readonly result: JsonObject | null;
}

export interface OperationContext<Input extends JsonObject> {
  readonly id: string;
  readonly tenantId: string;
  readonly input: Input;
  readonly fencingToken: number;
  readonly committed: boolean;
  readonly journal: JsonObject;
  /**
   * Aborted with an AppError as its reason: CANCELED, DEADLINE_EXCEEDED, WORKER_STOPPED (before the commit point only) or LEASE_LOST
   * (always: stop at once, touch nothing more).
   */
  readonly signal: AbortSignal;
  leaseRemainingMs(): number;
  /** Ends the running step and begins the next; conditional on the fencing token (LEASE_LOST). */
  enter(phase: string): Promise<void>;
  /** Progress of the running phase; percent over the whole operation is the runtime's to compute. At most 4 events a second leave the process. */
  report(progress: WorkProgress): void;
  log(message: string, level?: 'INFO' | 'WARN' | 'ERROR'): void;
  /** Merges `patch` into the journal; conditional on the fencing token. */
  saveJournal(patch: JsonObject): Promise<void>;
  /**
   * The commit point: journal and `committed` in one statement that is conditional on the fencing token and on no cancel
   * having been asked for; `also` writes rows of the feature in the same transaction (and may run twice). Throws CANCELED without effect, or LEASE_LOST
   * (if PostgreSQL went away during it, nobody knows whether it took effect: recovery will). After it only LEASE_LOST aborts `signal`.
   */
  commit(patch: JsonObject, also?: (manager: EntityManager) => Promise<void>): Promise<void>;
  /** Writes rows of the feature in a transaction that holds the operation's row and fails with LEASE_LOST unless the lease is still ours. May run twice. */
  fenced<T>(work: (manager: EntityManager) => Promise<T>): Promise<T>;
  /** A named place at which tests make this process fail; free in production. */
  faultPoint(name: string): Promise<void>;
  /** Sets the row's `backup_id`, for operations that make one. */
  attachBackup(backupId: string): Promise<void>;
}

/** What a feature passes to start work, inside its own transaction. */
export interface StartOperation<Input extends JsonObject> {
  readonly handler: OperationHandler<Input>;
  readonly tenantId: string;
  readonly input: Input;
  readonly startedBy: JsonObject;
  readonly actorId: string;
  readonly idempotencyKey: string | null;
  /** What is compared for IDEMPOTENCY_MISMATCH: the user's input, not ids made by us. */
  readonly idempotencyInput: JsonObject;
  readonly backupId?: string;
  readonly planId?: string;
}
