import type { AppError } from '#errors';
import type { Actor } from '../auth/actor.js';

/** The GraphQL context: a new object for each HTTP request and for each subscription, never shared. */
export interface RequestContext {
  /** The least that HTTP requests and sockets have in common; Nest wants it under this name. */
  readonly req: { readonly headers: Readonly<Record<string, string | string[] | undefined>> };
  readonly user: Actor | null;
  /** Why `user` is null, for those who need one. */
  readonly refusal: AppError | null;
  /** The client's IP address, seen through trusted proxies alone. */
  readonly address: string;
}
