import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { GqlExecutionContext } from '@nestjs/graphql';
import { AppError } from '#errors';
import type { Actor } from '../auth/actor.js';
import type { RequestContext } from './request-context.js';

export function contextOf(context: ExecutionContext): RequestContext {
  return GqlExecutionContext.create(context).getContext<RequestContext>();
}

/** @throws AppError UNAUTHENTICATED, or why the token could not be checked */
export function requireActor({ user, refusal }: RequestContext): Actor {
  if (user === null) throw refusal ?? new AppError('UNAUTHENTICATED', 'You are not logged in');
  return user;
}

/** The actor of a resolver's call; UNAUTHENTICATED where nobody is logged in. */
export const CurrentActor = createParamDecorator((_: unknown, context: ExecutionContext): Actor => requireActor(contextOf(context)));

/** The client's IP address, for calls that nobody need be logged in for. */
export const ClientAddress = createParamDecorator((_: unknown, context: ExecutionContext): string => contextOf(context).address);
