import { Field, ID, ObjectType } from '@nestjs/graphql';
import { Permission } from '../access/permission.js';
import { apiKeyPrefix } from '../platform/auth/api-key-directory.js';
import { ActorModel, toActorModel } from '../platform/graphql/actor.model.js';
import { Paginated } from '../platform/graphql/connection.js';
import { toGlobalId } from '../platform/graphql/global-id.js';
import { Node } from '../platform/graphql/node.model.js';
import type { ApiKeyEntity } from './api-key.entity.js';

@ObjectType('ApiKey', { implements: () => [Node], description: 'Lets a program do some of what a person may.' })
export class ApiKeyModel implements Node {
  readonly __typename = 'ApiKey';

  @Field(() => ID)
  id!: string;

  @Field(() => String)
  name!: string;

  @Field(() => String, { description: 'Its last characters.' })
  masked!: string;

  @Field(() => [Permission])
  permissions!: readonly Permission[];

  @Field(() => Date)
  createdAt!: Date;

  @Field(() => ActorModel, { nullable: true })
  createdBy!: ActorModel | null;

  @Field(() => Date)
  expiresAt!: Date;

  @Field(() => Date, { nullable: true, description: 'To the minute.' })
  usedAt!: Date | null;

  @Field(() => Date, { nullable: true })
  revokedAt!: Date | null;
}

@ObjectType()
export class ApiKeyConnection extends Paginated('ApiKey', () => ApiKeyModel) {}

export function toApiKeyModel({ id, name, hint, permissions, createdAt, createdBy, expiresAt, usedAt, revokedAt }: ApiKeyEntity): ApiKeyModel {
  return { __typename: 'ApiKey', id: toGlobalId('ApiKey', id), name, masked: `${apiKeyPrefix}…${hint}`, permissions, createdAt, createdBy: toActorModel(createdBy), expiresAt, usedAt, revokedAt };
}
