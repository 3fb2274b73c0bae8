import { SetMetadata } from '@nestjs/common';

/**
 * Who may ever call a resolver or a route: anybody, anybody who is logged in, the provider alone, or whoever holds the named
 * permission in some tenant. The service then checks the very tenant.
 */
export type AccessPolicy = 'public' | 'authenticated' | 'provider' | (string & {});

export const accessPolicyKey = 'holdfast:access';

/** Every query, mutation, subscription and REST route declares its policy; an undeclared one is refused. */
export const Access = (policy: AccessPolicy): MethodDecorator & ClassDecorator => SetMetadata(accessPolicyKey, policy);
