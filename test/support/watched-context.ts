import type { CommandOperationOptions, Document } from 'mongodb';
import type { MongodbContext } from '../../libs/engines/mongodb/connection.ts';

export interface WatchedCommand {
  /** Position among the commands of this context. */
  readonly index: number;
  readonly command: Document;
  readonly options: CommandOperationOptions | undefined;
}

export interface Watch {
  before?(command: WatchedCommand): Promise<void> | void;
  after?(command: WatchedCommand): Promise<void> | void;
}

type Command = (command: Document, options?: CommandOperationOptions) => Promise<unknown>;

/** The same context, but each command passes by `watch`: a place to stop a worker, or to end it, at any point of its work. */
export function watched(context: MongodbContext, watch: Watch): MongodbContext {
  let count = 0;
  const passing =
    (send: Command): Command =>
    async (command, options) => {
      const seen = { index: count++, command, options };
      await watch.before?.(seen);
      const reply = await send(command, options);
      await watch.after?.(seen);
      return reply;
    };
  const own = (target: object, property: string | symbol): unknown => {
    const value: unknown = Reflect.get(target, property, target);
    return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value;
  };
  const watchedDb = (db: MongodbContext['db']): MongodbContext['db'] =>
    new Proxy(db, { get: (target, property) => (property === 'command' ? passing(own(target, property) as Command) : own(target, property)) });
  const client = new Proxy(context.client, {
    get: (target, property) => (property === 'db' ? (name?: string) => watchedDb(target.db(name)) : own(target, property)),
  });
  return { ...context, client, db: watchedDb(context.db) };
}
