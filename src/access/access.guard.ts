import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AppError } from '#errors';
import { type AccessPolicy, accessPolicyKey } from '../platform/auth/access.decorator.js';
import { contextOf, requireActor } from '../platform/graphql/current-actor.decorator.js';
import { AccessService, forbidden, forbiddenToAllButProvider } from './access.service.js';
import { allPermissions } from './permission.js';

/** Refuses every query, mutation, subscription and route whose policy the caller does not meet, or that has none. */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly access: AccessService,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const policy = this.reflector.getAllAndOverride<AccessPolicy | undefined>(accessPolicyKey, [context.getHandler(), context.getClass()]);
    if (policy === 'public') return true;
    // Routes outside GraphQL carry their own tokens (download links, cron keys) and check them themselves.
    if (policy === undefined || context.getType<string>() !== 'graphql') throw new AppError('FORBIDDEN', 'Nobody may do this: it declares no access policy');
    const actor = requireActor(contextOf(context));
    if (policy === 'authenticated') return true;
    if (policy === 'provider') {
      if (!actor.isProvider) throw forbiddenToAllButProvider();
      return true;
    }
    const permission = allPermissions.find((one) => String(one) === policy);
    if (permission === undefined) throw new Error(`Unknown access policy ${policy}`);
    if (!(await this.access.mayEver(actor, permission))) throw forbidden(permission);
    return true;
  }
}
