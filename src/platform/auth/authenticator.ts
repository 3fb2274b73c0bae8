import type { Actor } from './actor.js';

export type Authentication =
  | { readonly kind: 'actor'; readonly actor: Actor }
  /** No token was sent. */
  | { readonly kind: 'anonymous' }
  /** A token was sent that is not, or no longer, good. */
  | { readonly kind: 'refused' };

/** Turns the value of an `Authorization` header into an actor. */
export abstract class Authenticator {
  abstract authenticate(authorization: string | undefined, address: string): Promise<Authentication>;
}
