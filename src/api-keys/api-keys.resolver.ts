import { Args, Mutation, Parent, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { Access } from '../platform/auth/access.decorator.js';
import type { Actor } from '../platform/auth/actor.js';
import { PageArgs, pageOf, toConnection } from '../platform/graphql/connection.js';
import { CurrentActor } from '../platform/graphql/current-actor.decorator.js';
import { NodeRegistry } from '../platform/graphql/node-registry.js';
import { TenantModel } from '../tenants/tenant.model.js';
import type { ApiKeyEntity } from './api-key.entity.js';
import { ApiKeyConnection, type ApiKeyModel, toApiKeyModel } from './api-key.model.js';
import { ApiKeysService } from './api-keys.service.js';
import { ApiKeyCreateInput, ApiKeyCreatePayload, ApiKeyRevokeInput, ApiKeyRevokePayload } from './dto/api-key.inputs.js';

const keyOf = (row: ApiKeyEntity) => ({ at: row.createdAt, id: row.id });

@Resolver(() => TenantModel)
export class ApiKeysResolver {
  constructor(
    private readonly keys: ApiKeysService,
    registry: NodeRegistry,
  ) {
    registry.register('ApiKey', async (actor, uuid) => toApiKeyModel(await keys.get(actor, uuid)));
  }

  @Access('provider')
  @Query(() => ApiKeyConnection, { name: 'apiKeys', description: "The provider's own, which are good in every workspace." })
  async ofProvider(@CurrentActor() actor: Actor, @Args() args: PageArgs): Promise<ApiKeyConnection> {
    const page = pageOf(args);
    return toConnection<ApiKeyEntity, ApiKeyModel>(page, await this.keys.list(actor, null, page), keyOf, toApiKeyModel);
  }

  @Access(Permission.MEMBER_MANAGE)
  @Mutation(() => ApiKeyCreatePayload, { description: 'Makes a key for a program, with some of the permissions of whoever makes it.' })
  async apiKeyCreate(@CurrentActor() actor: Actor, @Args('input') { tenantId, ...draft }: ApiKeyCreateInput): Promise<ApiKeyCreatePayload> {
    const { apiKey, key } = await this.keys.create(actor, tenantId ?? null, draft);
    return { apiKey: toApiKeyModel(apiKey), key };
  }

  @Access(Permission.MEMBER_MANAGE)
  @Mutation(() => ApiKeyRevokePayload, { description: 'From now on it is refused, and its subscriptions end.' })
  async apiKeyRevoke(@CurrentActor() actor: Actor, @Args('input') { apiKeyId }: ApiKeyRevokeInput): Promise<ApiKeyRevokePayload> {
    return { apiKey: toApiKeyModel(await this.keys.revoke(actor, apiKeyId)) };
  }

  @ResolveField(() => ApiKeyConnection, { name: 'apiKeys', description: 'Newest first, those that were revoked or have expired included.' })
  async ofTenant(@CurrentActor() actor: Actor, @Parent() { uuid }: TenantModel, @Args() args: PageArgs): Promise<ApiKeyConnection> {
    const page = pageOf(args);
    return toConnection<ApiKeyEntity, ApiKeyModel>(page, await this.keys.list(actor, uuid, page), keyOf, toApiKeyModel);
  }
}
