import { Args, Mutation, Query, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { toOperationModel } from '../operations/operation.model.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { fromGlobalId } from '../platform/graphql/global-id.js';
import { EncryptionKeyModel, KeyReencryptInput, KeyReencryptPayload } from './key.model.js';
import { KeysService } from './keys.service.js';

@Resolver(() => EncryptionKeyModel)
export class KeysResolver {
  constructor(private readonly keys: KeysService) {}

  @Access('provider')
  @Query(() => [EncryptionKeyModel], { description: 'What each key protects, the current one first.' })
  encryptionKeys(): Promise<EncryptionKeyModel[]> {
    return this.keys.list();
  }

  @Access(Permission.STORAGE_MANAGE)
  @Mutation(() => KeyReencryptPayload, { description: "Moves the tenant's archives to the current key; backups and restores go on meanwhile." })
  async keyReencrypt(@CurrentActor() actor: Actor, @Args('input') input: KeyReencryptInput): Promise<KeyReencryptPayload> {
    return { operation: toOperationModel(await this.keys.reencrypt(actor, fromGlobalId('Tenant', input.tenantId), input.idempotencyKey ?? null)) };
  }
}
